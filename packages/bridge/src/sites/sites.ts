import type { Clock, Logger } from "@isthmus/wire";
import { bridgeError } from "../errors.ts";
import { TrunkAcceptor } from "../trunk/acceptor.ts";
import { dialTrunk } from "../trunk/dial.ts";
import type { TrunkLink, TrunkStatus } from "../trunk/link.ts";
import { startNatsListener } from "../trunk/nats-listener.ts";
import { startWebSocketListener } from "../trunk/ws-server.ts";
import type { FarCluster } from "./far-cluster.ts";
import type { SiteOptions, TrunkOptions } from "./options.ts";
import { SiteSink } from "./site-sink.ts";

/** What {@link startSites} needs. */
export interface SitesOptions {
  readonly trunk: TrunkOptions;
  /** Whose nodes are there already. */
  readonly clusters: readonly FarCluster[];
  readonly logger: Logger;
  readonly clock: Clock;
}

/**
 * Begins to listen for other sites and to connect to them.
 * @throws IsthmusError `BRIDGE_OPTIONS_INVALID`, `TRUNK_OPTIONS_INVALID`, `PEER_DEPENDENCY_MISSING`; nothing is left running then
 */
export async function startSites(options: SitesOptions): Promise<Sites> {
  const sites = new Sites(options);
  try {
    await sites.listen();
  } catch (error) {
    await sites.close();
    throw error;
  }
  return sites;
}

/** The trunks to all other sites. Made by {@link startSites}. */
export class Sites {
  readonly #options: SitesOptions;
  readonly #acceptor: TrunkAcceptor;
  readonly #links: TrunkLink[] = [];
  readonly #listeners: { close(): Promise<void> }[] = [];

  /** Use {@link startSites}. */
  constructor(options: SitesOptions) {
    this.#options = options;
    const { trunk, clusters, logger, clock } = options;
    this.#acceptor = new TrunkAcceptor({ site: trunk.site, logger, clock });
    try {
      for (const [peer, site] of Object.entries(trunk.sites)) {
        const far = clusters.filter(({ pair }) => pair.site === peer);
        this.#links.push(this.#link(peer, site, new SiteSink(far, logger)));
      }
    } catch (error) {
      for (const link of this.#links) link.close();
      throw error;
    }
  }

  /** How the trunk to each site stands. */
  status(): TrunkStatus[] {
    return this.#links.map((link) => link.status());
  }

  async listen(): Promise<void> {
    const { trunk, logger, clock } = this.#options;
    const acceptor = this.#acceptor;
    if (trunk.listen !== undefined)
      this.#listeners.push(await startWebSocketListener({ ...trunk.listen, acceptor, logger }));
    if (trunk.nats !== undefined) {
      const { nats } = trunk;
      // clusters of this site must not wait for a service that is for others
      this.#listeners.push(await startNatsListener({ ...nats, acceptor, logger, clock, patient: true }));
    }
  }

  /** Waits until the other sites have everything that was sent, at most `ms` milliseconds. */
  async drain(ms: number): Promise<void> {
    const up = this.#links.filter(({ state }) => state === "up");
    await Promise.all(up.map((link) => link.drain(ms)));
  }

  /** Ends all trunks, telling the other sites, and then the listeners. Any number of times. */
  async close(): Promise<void> {
    for (const link of this.#links) link.close();
    this.#acceptor.close();
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.close()));
  }

  #link(peer: string, { open, ...site }: SiteOptions, sink: SiteSink): TrunkLink {
    const { trunk, logger, clock } = this.#options;
    const options = { ...site, peer, sink, parts: true };
    if (open !== undefined && open.length > 0)
      return dialTrunk({ ...options, open, site: trunk.site, logger, clock });
    if (trunk.listen !== undefined || trunk.nats !== undefined) return this.#acceptor.accept(options);
    throw bridgeError(
      "BRIDGE_OPTIONS_INVALID",
      `There is no way to site ${peer}, and nothing listens for it: give it an address, or the trunk a place to listen.`,
    );
  }
}
