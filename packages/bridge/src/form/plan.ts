import type { Discovery } from "@isthmus/strategies";
import { type Clock, type IsthmusError, isIsthmusError, type Logger } from "@isthmus/wire";
import type { TopologyConfig } from "../config/topology.ts";
import { BeamCalls } from "./beam-calls.ts";
import type { FormConfig } from "./config.ts";
import { formError } from "./errors.ts";
import { startLink } from "./formation.ts";

/** What `isthmus form` would do, and nothing of it is done. */
export interface Plan {
  readonly node: string;
  /** Its OTP release. */
  readonly release: number;
  readonly topologies: readonly TopologyPlan[];
  /** Nodes that the local node is connected to and no topology names: they are left alone. */
  readonly others: readonly string[];
}

/** The same of one topology. */
export interface TopologyPlan {
  readonly name: string;
  readonly strategy: string;
  readonly connected: readonly string[];
  /** To these the local node would be connected. */
  readonly missing: readonly string[];
  /** Why discovery gave no nodes. */
  readonly error: IsthmusError | undefined;
}

/** Options of {@link makePlan}. */
export interface PlanOptions {
  /** How long to wait for the local node, and for discovery. Milliseconds. */
  readonly timeoutMs: number;
  readonly logger: Logger;
  readonly clock: Clock;
}

/**
 * Asks the local node whom it is connected to, and every strategy once, and compares. The local node sees a hidden node
 * come and go, and that is all.
 * @throws IsthmusError when the local node cannot be connected or asked
 */
export async function makePlan(config: FormConfig, options: PlanOptions): Promise<Plan> {
  const { name } = config.node;
  const deadline = new AbortController();
  const timer = options.clock.after(options.timeoutMs, () =>
    deadline.abort(
      formError("LOCAL_NODE_FAILED", `There was no answer within ${options.timeoutMs} ms.`, {
        context: { node: name },
      }),
    ),
  );
  const hidden = await startLink(config, options);
  try {
    const { signal } = deadline;
    await hidden.connect(name, { signal });
    const calls = new BeamCalls(hidden, name);
    const [facts, connected, ...discovered] = await Promise.all([
      calls.facts(signal),
      calls.connected(signal),
      ...Object.values(config.topologies).map((topology) => discoverOnce(topology, name, signal, options)),
    ]);
    const named = new Set(discovered.flatMap((discovery) => (discovery.ok ? discovery.nodes : [])));
    const up = new Set(connected);
    const topologies = Object.entries(config.topologies).map(
      ([topology, { strategyName }], i): TopologyPlan => {
        const discovery = discovered[i]!;
        const nodes = discovery.ok ? [...new Set(discovery.nodes)].filter((node) => node !== name) : [];
        return {
          name: topology,
          strategy: strategyName,
          connected: nodes.filter((node) => up.has(node)),
          missing: nodes.filter((node) => !up.has(node)),
          error: discovery.ok ? undefined : discovery.error,
        };
      },
    );
    const others = connected.filter((node) => !named.has(node));
    return { node: name, release: facts.release, topologies, others };
  } finally {
    timer.cancel();
    // strategies that have not answered end now
    deadline.abort();
    await hidden.close();
  }
}

/** The first answer of a strategy; its last failure when there is none until `signal` is aborted. */
async function discoverOnce(
  topology: TopologyConfig,
  self: string,
  signal: AbortSignal,
  { logger, clock }: PlanOptions,
): Promise<Discovery> {
  const strategy = topology.strategy();
  const { compat = false } = topology;
  const ended = new AbortController();
  let failure: Discovery = {
    ok: false,
    error: formError("DISCOVERY_SILENT", "The strategy gave no answer in time.", {}),
  };
  try {
    return await new Promise<Discovery>((resolve) => {
      const report = (discovery: Discovery): void => {
        if (discovery.ok) resolve(discovery);
        else failure = discovery;
      };
      signal.addEventListener("abort", () => resolve(failure), { once: true });
      const start = async (): Promise<void> =>
        strategy.start({ self, report, logger, clock, signal: ended.signal, compat, passive: true });
      start().catch((error: unknown) => {
        const message = "The strategy could not be started.";
        const reason = isIsthmusError(error)
          ? error
          : formError("DISCOVERY_SILENT", message, { cause: error });
        resolve({ ok: false, error: reason });
      });
    });
  } finally {
    ended.abort();
    await strategy.stop();
  }
}
