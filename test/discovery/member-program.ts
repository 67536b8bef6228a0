// A program for a host of its own: follows a strategy and prints what it reports, one JSON text a line. With a cookie
// it is a hidden node, whose topology connects what is found; then it prints who is connected.
import { startNode } from "@isthmus/core";
import { loadStrategy, startTopology } from "@isthmus/strategies";
import { silentLogger, systemClock } from "@isthmus/wire";
import { nodeHooks } from "../../packages/bridge/src/discovery/node-hooks.ts";
import type { MemberOptions } from "./member.ts";

const { name, strategy: strategyName, options, cookie } = JSON.parse(process.argv[2]!) as MemberOptions;
const strategy = (await loadStrategy(strategyName)).from(options);
// discovery alone keeps no process alive
setInterval(() => undefined, 60_000);
const print = (line: unknown): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

if (cookie === undefined) {
  await strategy.start({
    self: name,
    report: (found) => print(found.ok ? { nodes: [...found.nodes].sort() } : { failed: found.error.message }),
    logger: silentLogger,
    clock: systemClock,
    signal: new AbortController().signal,
    compat: false,
  });
} else {
  const node = await startNode({ name, cookie, listen: { host: "0.0.0.0" } });
  const connected = (): string[] => node.nodes().map((peer) => peer.node);
  node.onNodeEvent(() => print({ connected: connected().sort() }));
  startTopology({ name: "members", strategy, hooks: nodeHooks(node), backoff: { firstMs: 100, maxMs: 500 } });
}
