import { type Bridge, type BridgeOptions, type FarClusterOptions, startBridge } from "@isthmus/bridge";
import { decode, type Pid, type Term } from "@isthmus/etf";
import { until } from "../e2e/two-clusters.ts";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import type { OtpRelease } from "../support/peers.ts";

export const SOON = { timeout: 20_000, interval: 20 };

/** Clusters of real nodes that share nothing, and bridges between them. */
export class Clusters {
  readonly #epmds = new Map<string, Promise<Epmd>>();
  readonly #nodes = new Map<string, string[]>();
  readonly #beams: Beam[] = [];
  readonly #bridges: Bridge[] = [];
  #count = 0;

  /** Starts a node of a cluster, which keeps errors and worse in the collector `reports`. */
  async beam(cluster: string, otp: OtpRelease = 25, args: readonly string[] = []): Promise<Beam> {
    const name = `${cluster}${++this.#count}@127.0.0.1`;
    const beam = await startBeam({
      name,
      cookie: `cookie_of_${cluster}`,
      epmdPort: (await this.#epmd(cluster)).port,
      otp,
      args,
    });
    this.#beams.push(beam);
    this.#nodes.set(cluster, [...(this.#nodes.get(cluster) ?? []), name]);
    await beam.eval(`isthmus_probe:collect(reports),
      logger:add_primary_filter(reports, {fun(#{level := Level} = Event, _) ->
        logger:compare_levels(Level, error) =:= lt orelse (reports ! maps:get(msg, Event)), ignore end, none})`);
    return beam;
  }

  /** Starts a bridge between clusters, which connects to the nodes that there are, and to the other bridges `meets`. */
  async bridge(
    clusters: readonly string[],
    options: Partial<BridgeOptions>,
    {
      name = "bridge",
      meets = [],
      tickTimeSeconds = 60,
      far = {},
    }: {
      readonly name?: string;
      readonly meets?: readonly string[];
      readonly tickTimeSeconds?: number;
      readonly far?: Readonly<Record<string, FarClusterOptions>>;
    } = {},
  ): Promise<Bridge> {
    const entries = await Promise.all(
      clusters.map(async (id) => {
        const { port } = await this.#epmd(id);
        return [
          id,
          {
            node: `${name}@127.0.0.1`,
            cookie: `cookie_of_${id}`,
            listen: { host: "127.0.0.1" },
            epmd: { host: "127.0.0.1", port },
            tickTimeSeconds,
            hosts: [...(this.#nodes.get(id) ?? []), ...meets.map((other) => `${other}@127.0.0.1`)],
          },
        ] as const;
      }),
    );
    const bridge = await startBridge({
      clusters: { ...Object.fromEntries(entries), ...far },
      routes: [],
      ...options,
    });
    this.#bridges.push(bridge);
    const isConnected = ({
      id,
      connected,
    }: {
      readonly id: string;
      readonly connected: readonly unknown[];
    }) => !clusters.includes(id) || connected.length >= this.#running(id);
    await until(() => bridge.status().clusters.every(isConnected), `the bridge ${name} is connected`);
    return bridge;
  }

  /** What nodes reported, by their names; of none of them anything is expected. */
  async reports(): Promise<Readonly<Record<string, string>>> {
    const reports: Record<string, string> = {};
    for (const beam of this.#beams) {
      if (!beam.running) continue;
      const text = await beam.eval("isthmus_probe:collected(reports)");
      if (text !== "[]") reports[beam.node] = text;
    }
    return reports;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#bridges.splice(0).map((bridge) => bridge.close()));
    await Promise.all(this.#beams.splice(0).map((beam) => beam.stop()));
    for (const epmd of this.#epmds.values()) await (await epmd).stop();
    this.#epmds.clear();
    this.#nodes.clear();
  }

  /** Nodes of a cluster that run. */
  #running(cluster: string): number {
    const names = this.#nodes.get(cluster) ?? [];
    return this.#beams.filter(({ node, running }) => running && names.includes(node)).length;
  }

  #epmd(cluster: string): Promise<Epmd> {
    const epmd = this.#epmds.get(cluster) ?? startEpmd();
    this.#epmds.set(cluster, epmd);
    return epmd;
  }
}

/** The value of an expression, as a term. */
export async function value(on: Beam, expression: string): Promise<Term> {
  const text = await on.eval(
    `base64:encode_to_string(term_to_binary((fun() -> ${expression} end)()))`.replaceAll("\n", " "),
  );
  return decode(Buffer.from(JSON.parse(text) as string, "base64"));
}

/** Starts the scope `pg`, or another. */
export async function startScope(on: Beam, scope = "pg"): Promise<void> {
  await on.eval(`element(1, pg:start(${scope}))`);
}

/** Starts a process that keeps what it gets, registered as `name`, and lets it join a group, an expression. */
export async function member(on: Beam, name: string, group: string, scope = "pg"): Promise<void> {
  await on.eval(`isthmus_probe:collect(${name}), pg:join(${scope}, ${group}, whereis(${name}))`);
}

/** How many members a node sees in a group. */
export async function size(on: Beam, group: string, scope = "pg"): Promise<number> {
  return Number(await on.eval(`length(pg:get_members(${scope}, ${group}))`));
}

/** The members of other nodes that a node sees in a group. */
export async function others(on: Beam, group: string, scope = "pg"): Promise<Pid[]> {
  const pids = (await value(on, `pg:get_members(${scope}, ${group})`)) as Pid[];
  return pids.filter(({ node }) => node.text !== on.node);
}

/** Sends a message, an expression, to all members of other nodes that a node sees in a group. */
export async function broadcast(on: Beam, group: string, message: string, scope = "pg"): Promise<void> {
  await on.eval(`[P ! ${message} || P <- pg:get_members(${scope}, ${group}), node(P) =/= node()], ok`);
}

/** What the process `name` has got so far. */
export function got(on: Beam, name: string): Promise<string> {
  return on.eval(`isthmus_probe:collected(${name})`);
}
