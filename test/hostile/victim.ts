import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type HiddenNode, type NodeEvent, type NodeOptions, startNode } from "@isthmus/core";
import type { Logger } from "@isthmus/wire";
import { expect } from "vitest";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";

/** A node of ours under attack, and a real BEAM that goes on calling it all the time. */
export interface Victim {
  readonly node: HiddenNode;
  readonly port: number;
  readonly beam: Beam;
  /** What the node logged as warnings and errors. */
  readonly log: { readonly code: unknown; readonly message: string }[];
  readonly events: NodeEvent[];
  /** Why the connection to this node went down, once it has. */
  downReason(name: string): Promise<string>;
  /** Waits until this node is not connected, and forgets that it ever was: the next attacker may have its name. */
  gone(name: string): Promise<void>;
  /** The code with which an incoming connection was refused, the next to come or one that is logged already. */
  refused(): Promise<unknown>;
  /** That since the last time the BEAM was answered again, every time, on its first and only connection. */
  unharmed(): Promise<void>;
  /** Bytes that are in use now beyond those at the last `mark`. */
  mark(): void;
  grown(): number;
  stop(): Promise<void>;
}

const BEAM = "wellbehaved@127.0.0.1";

/** @param args more arguments for the BEAM */
export async function startVictim(
  options: Partial<NodeOptions> = {},
  args: readonly string[] = [],
): Promise<Victim> {
  const epmd: Epmd = await startEpmd();
  const beam = await startBeam({ name: BEAM, cookie: "biscuit", epmdPort: epmd.port, args });
  const log: Victim["log"] = [];
  const note = (fields: Readonly<Record<string, unknown>>, message: string): void => {
    log.push({ code: fields["code"], message });
  };
  const logger: Logger = { debug: () => undefined, info: () => undefined, warn: note, error: note };
  const node = await startNode({
    name: "victim@127.0.0.1",
    cookie: "biscuit",
    listen: { host: "127.0.0.1" },
    epmd: { host: "127.0.0.1", port: epmd.port },
    logger,
    setupTimeoutMs: 1500,
    ...options,
  });
  const events: NodeEvent[] = [];
  node.onNodeEvent((event) => events.push(event));
  node.serve("echo", { call: (request) => request });
  node.spawn({ name: "inbox", onMessage: () => undefined });
  await beam.eval(`C = isthmus_scenarios:caller('${node.name}')`);
  await until(() => events.length === 1);
  const collect = garbageCollector();
  let marked = 0;
  let refusals = 0;
  const used = (): number => {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const victim: Victim = {
    node,
    port: node.port!,
    beam,
    log,
    events,
    async downReason(name) {
      const found = (): NodeEvent | undefined =>
        events.findLast(({ node: other, type }) => other === name && type === "down");
      await until(() => found() !== undefined);
      const { code } = (found() as { reason: { code: string } }).reason;
      await victim.gone(name);
      return code;
    },
    async gone(name) {
      await until(() => node.nodes().every(({ node: other }) => other !== name));
      events.splice(0, events.length, ...events.filter((event) => event.node !== name));
    },
    async refused() {
      const all = (): Victim["log"] =>
        log.filter(({ message }) => message.startsWith("incoming connection refused"));
      await until(() => all().length > refusals);
      return all()[refusals++]!.code;
    },
    async unharmed() {
      const answered = async (): Promise<number> => {
        const [, count, failures] = /^\{(\d+),(.*)\}$/s.exec(
          await beam.eval("isthmus_scenarios:called(C)", { timeoutMs: 30_000 }),
        )!;
        expect(failures).toBe("[]");
        return Number(count);
      };
      const before = await answered();
      await until(async () => (await answered()) > before + 5);
      expect(events.filter(({ node: name }) => name === BEAM).map(({ type }) => type)).toEqual(["up"]);
    },
    mark() {
      marked = used();
    },
    grown: () => used() - marked,
    async stop() {
      await node.close();
      await beam.stop();
      await epmd.stop();
    },
  };
  return victim;
}

/** What `node --expose-gc` gives. */
function garbageCollector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

/** Waits for something to become true; fails when it does not within thirty seconds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 30_000; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`It did not come to that within 30 seconds: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
