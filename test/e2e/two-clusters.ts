import { type Bridge, type BridgeOptions, type RouteOptions, startBridge } from "@isthmus/bridge";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";

/** Two clusters of one real node each, which share nothing, and a bridge between them. */
export interface TwoClusters {
  readonly a: Beam;
  readonly b: Beam;
  readonly bridge: Bridge;
  /** Starts another node of cluster "a" or "b". */
  add(cluster: "a" | "b", name: string): Promise<Beam>;
  /** Ends `bridge` and starts a new one with the same options. */
  restartBridge(): Promise<Bridge>;
  stop(): Promise<void>;
}

export const BRIDGE = "'bridge@127.0.0.1'";

/** Routes `orders` both ways unless told otherwise. */
export async function startTwoClusters(options: {
  readonly otpA: 23 | 25 | 27 | 29;
  readonly otpB: 23 | 25 | 27 | 29;
  readonly routes?: readonly RouteOptions[];
  readonly bridge?: Partial<BridgeOptions>;
  readonly tickTimeSeconds?: number;
}): Promise<TwoClusters> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    const epmds: Record<"a" | "b", Epmd> = { a: await startEpmd(), b: await startEpmd() };
    stops.push(
      () => epmds.a.stop(),
      () => epmds.b.stop(),
    );
    const add = async (cluster: "a" | "b", name: string): Promise<Beam> => {
      const beam = await startBeam({
        name: `${name}@127.0.0.1`,
        cookie: `cookie_of_${cluster}`,
        epmdPort: epmds[cluster].port,
        otp: cluster === "a" ? options.otpA : options.otpB,
      });
      stops.push(() => beam.stop());
      return beam;
    };
    const [a, b] = await Promise.all([add("a", "a1"), add("b", "b1")]);
    const cluster = (id: "a" | "b") => ({
      node: "bridge@127.0.0.1",
      cookie: `cookie_of_${id}`,
      listen: { host: "127.0.0.1" },
      epmd: { host: "127.0.0.1", port: epmds[id].port },
      hosts: [`${id}1@127.0.0.1`],
      ...(options.tickTimeSeconds === undefined ? {} : { tickTimeSeconds: options.tickTimeSeconds }),
    });
    const start = async (): Promise<Bridge> => {
      const bridge = await startBridge({
        clusters: { a: cluster("a"), b: cluster("b") },
        routes: options.routes ?? [
          { from: "a", to: "b", name: "orders", nodes: ["b1@127.0.0.1"] },
          { from: "b", to: "a", name: "orders", nodes: ["a1@127.0.0.1"] },
        ],
        ...options.bridge,
      });
      await until(
        () => bridge.status().clusters.every(({ connected }) => connected.length > 0),
        "the bridge is connected",
      );
      return bridge;
    };
    const running: TwoClusters & { bridge: Bridge } = {
      a,
      b,
      bridge: await start(),
      add,
      async restartBridge() {
        await running.bridge.close();
        running.bridge = await start();
        return running.bridge;
      },
      stop,
    };
    stops.push(() => running.bridge.close());
    return running;
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Waits, bounded, until `condition` holds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 30_000,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`gave up waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
