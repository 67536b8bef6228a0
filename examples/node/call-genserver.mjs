// Calls a GenServer on a BEAM node, as GenServer.call({:orders, node}, request) does.
//   COOKIE=secret node call-genserver.mjs shop1@127.0.0.1
import { startNode } from "@isthmus/core";
import { atom, inspectTerm, tuple } from "@isthmus/etf";

const peer = process.argv[2];
const node = await startNode({
  name: `js_call_${process.pid}@127.0.0.1`,
  cookie: process.env.COOKIE,
  listen: false, // we only dial: no port, no epmd entry
});
const orders = { name: "orders", node: peer };

// {add, 20, 22}; connects by itself
console.log("add:", await node.call(orders, tuple(atom("add"), 20, 22)));

// terms come back as they are: atoms, tuples, maps, big integers, binaries
const term = tuple(atom("order"), "book", new Map([[atom("price"), 2n ** 70n]]), [1, 2.5]);
console.log("echo:", inspectTerm(await node.call(orders, tuple(atom("echo"), term))));

// a cast has no answer
node.cast(orders, tuple(atom("note"), atom("from_javascript")));
console.log("notes:", inspectTerm(await node.call(orders, atom("notes"), { timeoutMs: 1000 })));

// what goes wrong has a code
for (const [address, request] of [
  [{ name: "nobody", node: peer }, atom("hello")],
  [orders, tuple(atom("stop"), atom("out_of_paper"))],
]) {
  await node.call(address, request).catch(({ code, message }) => console.log(`${code}: ${message}`));
}
await node.close();
