// The relay of the bridge benchmarks: a process `relay` on each side takes {to, Name, Node, Msg} and delivers Msg to
// {Name, Node} on the other side. The message goes through the bridge's own path: scanned, translated, not decoded.
import { startBridge } from "@isthmus/bridge";
import { atom, TermReader } from "@isthmus/etf";

const { BRIDGE_NODE_A, BRIDGE_NODE_B, A_NODE, A_COOKIE, B_NODE, B_COOKIE } = process.env;
const listen = { host: "127.0.0.1" };
const bridge = await startBridge({
  clusters: {
    a: { node: BRIDGE_NODE_A, cookie: A_COOKIE, listen, hosts: [A_NODE] },
    b: { node: BRIDGE_NODE_B, cookie: B_COOKIE, listen, hosts: [B_NODE] },
  },
  routes: [],
});

relay("a", "b");
relay("b", "a");

function relay(from, to) {
  const router = bridge.router(from);
  const target = bridge.router(to);
  const reader = new TermReader();
  router.join(target);
  router.intercept(atom("relay"), (source, signal) => {
    reader.reset(signal.bytes, signal.bodyStart, signal.bodyEnd);
    if (reader.tupleHeader() !== 4 || reader.atom().text !== "to") return;
    const name = reader.atom();
    const connection = target.node.connection(reader.atom());
    if (connection !== undefined) router.sendName(source, signal, reader.offset, target, connection, name);
  });
}

for (const signal of ["SIGTERM", "SIGINT"])
  process.once(signal, () => bridge.close().then(() => process.exit(0)));
