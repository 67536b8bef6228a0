// The echo node of the peer benchmarks: what a BEAM, a C node or JInterface is measured as. See README.md.
import { startNode } from "@isthmus/core";
import { atom, tuple } from "@isthmus/etf";

const node = await startNode({
  name: process.env.PEER_NODE,
  cookie: process.env.PEER_COOKIE,
  listen: { host: "127.0.0.1" },
});
const pong = atom("pong");
const echoed = atom("echoed");
const counted = atom("counted");

const echo = node.processes.spawn({
  onMessage(message, self) {
    const [kind, to, third, fourth] = message.elements;
    switch (kind.text) {
      case "ping":
        self.send(to, tuple(pong, third));
        return;
      case "echo":
        self.send(to, tuple(echoed, third));
        return;
      case "blast":
        void blast(self, to, third, fourth);
        return;
    }
  },
});
node.processes.register("echo", echo);

let count = 0;
const sink = node.processes.spawn({
  onMessage(message, self) {
    if (message.elements[0].text === "msg") count++;
    else {
      self.send(message.elements[1], tuple(counted, count));
      count = 0;
    }
  },
});
node.processes.register("sink", sink);

// functions answer by name and arity, for those that have been exposed
node.processes.expose({ "bench_echo:id/1": (x) => x });

/** In slices, so that what waits to be sent stays bounded. */
async function blast(self, to, total, payload) {
  const blastAtom = atom("blast");
  const connection = node.connection(to.node);
  for (let i = 1; i <= total; i++) {
    self.send(to, tuple(blastAtom, i, payload));
    if (i % 512 === 0) {
      await new Promise(setImmediate);
      while (connection.blocked) await new Promise(setImmediate);
    }
  }
}

for (const signal of ["SIGTERM", "SIGINT"])
  process.once(signal, () => node.close().then(() => process.exit(0)));
