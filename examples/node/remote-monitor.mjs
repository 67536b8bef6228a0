// Watches a registered process of a BEAM node, and its node, until Ctrl-C: says when it is there, when and why it has
// ended, and when it is back.
//   COOKIE=secret node remote-monitor.mjs shop1@127.0.0.1 orders
import { setTimeout as sleep } from "node:timers/promises";
import { startNode } from "@isthmus/core";
import { inspectTerm } from "@isthmus/etf";

const [peer, name] = process.argv.slice(2);
const node = await startNode({
  name: `js_monitor_${process.pid}@127.0.0.1`,
  cookie: process.env.COOKIE,
  listen: false,
});
const watcher = node.spawn();
node.onNodeEvent(({ type }) => console.log(`node ${type}`));
process.on("SIGINT", () => node.close().then(() => process.exit(0)));

/** Watches once. @returns a promise of why the process is not there (any more) */
const ended = () =>
  new Promise((resolve) => {
    watcher.monitor({ name, node: peer }, { onDown: ({ reason }) => resolve(inspectTerm(reason)) });
  });

for (;;) {
  const reason = ended();
  // a monitor says nothing as long as all is well, and "noproc" or "noconnection" at once when there is nothing
  if ((await Promise.race([reason, sleep(500)])) === undefined) {
    console.log(`${name} is there`);
    console.log(`${name} has ended: ${await reason}`);
  }
  await sleep(500);
}
