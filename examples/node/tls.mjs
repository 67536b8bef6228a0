// The same over TLS, as `erl -proto_dist inet_tls -ssl_dist_optfile dist.conf` speaks it: both ends show a certificate
// and check the other's. CERTS is a folder with ca.pem, node.pem and node.key.
//   COOKIE=secret CERTS=certs node tls.mjs shop1@127.0.0.1
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startNode } from "@isthmus/core";
import { atom, tuple } from "@isthmus/etf";

const peer = process.argv[2];
const pem = (name) => readFileSync(join(process.env.CERTS, name), "utf8");
const side = { ca: pem("ca.pem"), cert: pem("node.pem"), key: pem("node.key") };

const node = await startNode({
  name: `js_tls_${process.pid}@127.0.0.1`,
  cookie: process.env.COOKIE,
  listen: { host: "127.0.0.1" },
  tls: { dial: side, accept: side },
});
node.serve("echo", { call: (request) => request });
console.log("add:", await node.call({ name: "orders", node: peer }, tuple(atom("add"), 20, 22)));

// and back: their function calls our server, on the same connection
const call = [tuple(atom("echo"), atom(node.name)), atom("hello")];
console.log("they got:", (await node.processes.erpc.call(peer, "gen_server", "call", call)).text);
await node.close();
