// One node of the demo where there is no `erl`: the same commands and answers as demo.erl, with nodes of our library.
import { createInterface } from "node:readline";
import { startNode } from "@isthmus/core";
import { ensureEpmdServer } from "@isthmus/epmd-client";
import { atom, inspectTerm, tuple } from "@isthmus/etf";

const { DEMO_ROLE, DEMO_NODE, DEMO_COOKIE } = process.env;
const BRIDGE = "bridge@127.0.0.1";
const ORDERS = { name: "orders", node: BRIDGE };

await ensureEpmdServer();
const node = await startNode({ name: DEMO_NODE, cookie: DEMO_COOKIE, listen: { host: "127.0.0.1" } });

if (DEMO_ROLE === "billing") {
  let number = 1;
  node.serve("orders", {
    call(request) {
      if (request === atom("hire")) return tuple(atom("worker"), hire().pid);
      const [, item, count] = request.elements;
      return tuple(atom("ok"), number++, item, count, atom(node.name));
    },
    cast(message, { process }) {
      const [, pid, what] = message.elements;
      process.send(pid, tuple(atom("told"), what, atom(node.name)));
    },
  });
  node.serve("secrets", {});
}

function hire() {
  return node.spawn({ onMessage: (message, self) => self.exit(message.elements[1]) });
}

const answers = {
  async ping_direct() {
    return node.connect("billing1@127.0.0.1").then(
      () => atom("pong"),
      () => atom("pang"),
    );
  },
  async ping_bridge() {
    const answer = await node.call(
      { name: "net_kernel", node: BRIDGE },
      tuple(atom("is_auth"), atom(node.name)),
    );
    return answer === atom("yes") ? atom("pong") : atom("pang");
  },
  call: () => node.call(ORDERS, tuple(atom("place"), "book", 2)),
  async message_to_pid() {
    const self = node.spawn();
    node.cast(ORDERS, tuple(atom("tell"), self.pid, atom("hello")));
    const [, what, from] = (await self.receive({ timeoutMs: 5000 })).elements;
    self.exit(atom("normal"));
    return tuple(what, from);
  },
  async monitor() {
    const [, worker] = (await node.call(ORDERS, atom("hire"))).elements;
    const self = node.spawn();
    self.monitor(worker);
    self.send(worker, tuple(atom("stop"), atom("out_of_paper")));
    const down = (await self.receive({ timeoutMs: 5000 })).elements;
    self.exit(atom("normal"));
    return tuple(down[0], down[4]);
  },
  refused_name: () =>
    node.call({ name: "secrets", node: BRIDGE }, atom("tell_me")).catch(({ code }) => {
      return tuple(atom("exit"), atom(code === "NO_PROCESS" ? "noproc" : code));
    }),
  refused_rpc: () =>
    node.processes.erpc.call(BRIDGE, "os", "cmd", [[105, 100]]).catch(({ context }) => {
      const reason = context.reason?.elements?.[1] ?? context.reason;
      return tuple(atom("badrpc"), reason ?? atom("unknown"));
    }),
  async nodes() {
    const seen = (hidden) =>
      node
        .nodes()
        .filter((other) => other.hidden === hidden)
        .map((other) => atom(other.node));
    // every connection of a hidden node is a hidden one
    return tuple(seen(false), seen(true));
  },
};

const say = (command, term) =>
  process.stdout.write(`${command}\t${inspectTerm(term, { syntax: "erlang" }).replaceAll(", ", ",")}\n`);
say("ready", atom(node.name));
for await (const line of createInterface({ input: process.stdin })) {
  const command = line.trim();
  say(command, await answers[command]().catch((error) => tuple(atom("error"), error.message)));
}
await node.close();
