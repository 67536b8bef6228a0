// A program in JavaScript on a topic of Phoenix.PubSub.
//   node pubsub.mjs NODE SERVER TOPIC           prints what is broadcast on the topic, until Ctrl-C
//   node pubsub.mjs NODE SERVER TOPIC TEXT      broadcasts {:say, "js", TEXT}, prints the next message of another, and ends
// such as: COOKIE=secret node pubsub.mjs chat@127.0.0.1 Chat.PubSub room:lobby "hello"
// COOKIE is the cookie of the cluster; needs the epmd that NODE is registered with (ERL_EPMD_PORT). See README.md.
import { startNode, startPhoenixPubSub } from "@isthmus/core";
import { atom, inspectTerm, tuple } from "@isthmus/etf";

const [peer, server, topic, text] = process.argv.slice(2);
const cookie = process.env.COOKIE;
if (topic === undefined || cookie === undefined) {
  console.error("usage: COOKIE=... node pubsub.mjs NODE SERVER TOPIC [TEXT]");
  process.exit(2);
}

const host = peer.slice(peer.indexOf("@") + 1);
const node = await startNode({ name: `js_pubsub_${process.pid}@${host}`, cookie });
const pubsub = startPhoenixPubSub(node, { name: server });
process.once("SIGINT", () => node.close());

// our own broadcasts come back to us as to any subscriber: told apart by the name in them
const mine = tuple(atom("say"), "js", text ?? "");
const heard = new Promise((resolve) => {
  pubsub.subscribe(topic, ({ message }) => {
    if (message === mine) return;
    console.log(`${topic}: ${inspectTerm(message, { syntax: "elixir" })}`);
    resolve();
  });
});

await node.connect(peer);
console.log(`connected to ${peer}`);
if (text !== undefined) {
  // a node is known to have the server when its scope of process groups has answered
  while (!pubsub.nodes().includes(peer)) await new Promise((resolve) => setTimeout(resolve, 20));
  pubsub.broadcast(topic, mine);
  await heard;
  await node.close();
}
