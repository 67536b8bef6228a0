import { type Bridge, type BridgeOptions, type RouteOptions, startBridge } from "@isthmus/bridge";
import type { SiteOptions, TrunkOptions } from "../../packages/bridge/src/sites/options.ts";
import type { TrunkLimits } from "../../packages/bridge/src/trunk/limits.ts";
import type { TrunkStatus } from "../../packages/bridge/src/trunk/link.ts";
import { webSocket } from "../../packages/bridge/src/trunk/ws-client.ts";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Epmd, freePort, startEpmd } from "../support/epmd.ts";
import type { OtpRelease } from "../support/peers.ts";
import { type CuttingProxy, startCuttingProxy } from "./cutting-proxy.ts";
import { SECRET } from "./sites.ts";

/** What every BEAM here calls the bridge. */
export const BRIDGE = "'bridge@127.0.0.1'";

/** A cluster of real nodes with an epmd of its own. */
export interface RealCluster {
  readonly name: string;
  readonly epmd: Epmd;
  readonly nodes: readonly Beam[];
  /** The first node. */
  readonly beam: Beam;
  /** The bridge's place in it. */
  readonly options: BridgeOptions["clusters"][string];
}

/** Ends everything that was started, last first. */
export class Ends {
  readonly #ends: (() => unknown)[] = [];

  add<T>(thing: T, end: (thing: T) => unknown): T {
    this.#ends.push(() => end(thing));
    return thing;
  }

  async run(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end();
  }
}

/** Starts `count` nodes that are connected with each other. */
export async function startCluster(
  ends: Ends,
  name: string,
  { otp, count = 1 }: { readonly otp?: OtpRelease | undefined; readonly count?: number } = {},
): Promise<RealCluster> {
  const epmd = ends.add(await startEpmd(), (one) => one.stop());
  const cookie = `cookie_of_${name}`;
  const nodes: Beam[] = [];
  for (let i = 1; i <= count; i++) {
    const node = await startBeam({ name: `${name}${i}@127.0.0.1`, cookie, epmdPort: epmd.port, otp });
    nodes.push(ends.add(node, (one) => one.stop()));
    await node.eval("isthmus_probe:orders(orders)");
    await node.eval("isthmus_probe:collect(sink)");
  }
  return {
    ...{ name, epmd, nodes },
    beam: nodes[0]!,
    options: {
      node: "bridge@127.0.0.1",
      cookie,
      listen: { host: "127.0.0.1" },
      epmd: { host: "127.0.0.1", port: epmd.port },
      hosts: nodes.map(({ node }) => node),
    },
  };
}

/** Routes by which two clusters use each other's `orders` and `sink`; `here` is the one that is ours. */
export function bothWays(here: RealCluster, there: string): RouteOptions[] {
  return ["orders", "sink"].flatMap((name) => [
    { from: here.name, to: there, name },
    { from: there, to: here.name, name, nodes: [here.beam.node] },
  ]);
}

/** A bridge in the cluster `own`, joined with clusters of other sites: their names, and the sites that have them. */
export async function startSite(
  ends: Ends,
  own: RealCluster,
  far: Readonly<Record<string, string>>,
  trunk: TrunkOptions,
  more: Partial<BridgeOptions> = {},
): Promise<Bridge> {
  const bridge = await startBridge({
    clusters: {
      [own.name]: own.options,
      ...Object.fromEntries(Object.entries(far).map(([cluster, site]) => [cluster, { site }])),
    },
    routes: Object.keys(far).flatMap((cluster) => bothWays(own, cluster)),
    trunk,
    ...more,
  });
  return ends.add(bridge, (one) => one.close());
}

/** Cluster `shop` at site north, whose bridge connects to that of cluster `billing` at site south, through a proxy. */
export interface TwoBridges {
  readonly shop: RealCluster;
  readonly billing: RealCluster;
  north: Bridge;
  south: Bridge;
  readonly proxy: CuttingProxy;
  /** Another bridge in the place of one that was closed. */
  startNorth(): Promise<void>;
  startSouth(): Promise<void>;
  /** Waits until both bridges know each other's node. */
  joined(): Promise<void>;
  trunks(): [TrunkStatus, TrunkStatus];
}

/** Options of {@link startTwoBridges}. */
export interface TwoBridgesOptions {
  readonly otpShop?: OtpRelease;
  readonly otpBilling?: OtpRelease;
  readonly limits?: Partial<TrunkLimits>;
  /** How the sites know each other, and what is special of the way. @default a secret, no TLS */
  readonly site?: SiteOptions;
  readonly north?: Partial<BridgeOptions>;
  readonly south?: Partial<BridgeOptions>;
  readonly logger?: BridgeOptions["logger"];
}

export async function startTwoBridges(ends: Ends, options: TwoBridgesOptions = {}): Promise<TwoBridges> {
  const [shop, billing] = await Promise.all([
    startCluster(ends, "shop", { otp: options.otpShop }),
    startCluster(ends, "billing", { otp: options.otpBilling }),
  ]);
  const port = await freePort();
  const proxy = ends.add(await startCuttingProxy(port), (one) => one.close());
  const site: SiteOptions = { secret: SECRET, ...options.site, limits: options.limits ?? {} };
  const logger = options.logger === undefined ? {} : { logger: options.logger };
  const url = `ws://127.0.0.1:${proxy.port}/trunk`;
  const two = {
    ...{ shop, billing, proxy },
    async startSouth() {
      const trunk = { site: "south", listen: { host: "127.0.0.1", port }, sites: { north: site } };
      two.south = await startSite(ends, billing, { shop: "north" }, trunk, { ...logger, ...options.south });
    },
    async startNorth() {
      const open = [webSocket({ url, environment: {} })];
      const trunk = { site: "north", sites: { south: { ...site, open } } };
      two.north = await startSite(ends, shop, { billing: "south" }, trunk, { ...logger, ...options.north });
    },
    joined: () => joined(two.north, two.south),
    trunks: (): [TrunkStatus, TrunkStatus] => [two.north.status().sites[0]!, two.south.status().sites[0]!],
  } as TwoBridges;
  await two.startSouth();
  await two.startNorth();
  await two.joined();
  return two;
}

/** Waits until every cluster of these bridges has a node. */
export async function joined(...bridges: readonly Bridge[]): Promise<void> {
  await until(
    () => bridges.every((bridge) => bridge.status().clusters.every(({ connected }) => connected.length > 0)),
    "the bridges have joined their clusters",
  );
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
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
