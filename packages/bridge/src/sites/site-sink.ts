import { type IsthmusError, isIsthmusError, type Logger } from "@isthmus/wire";
import { bridgeError } from "../errors.ts";
import type { TrunkLink, TrunkSink } from "../trunk/link.ts";
import type { FarCluster } from "./far-cluster.ts";
import { encodeRefuse, isRefusal } from "./greeting.ts";

/** Hands what comes over the trunk to one site to that site's clusters. */
export class SiteSink implements TrunkSink {
  readonly #clusters: readonly FarCluster[];
  readonly #byIncoming: ReadonlyMap<string, FarCluster>;
  readonly #logger: Logger;
  /** Channels of pairs that we do not have. Their number is bounded by that of channels. */
  readonly #strange = new Set<string>();

  constructor(clusters: readonly FarCluster[], logger: Logger) {
    this.#clusters = clusters;
    this.#byIncoming = new Map(clusters.map((cluster) => [cluster.pair.incoming, cluster]));
    this.#logger = logger;
  }

  up(link: TrunkLink): void {
    this.#strange.clear();
    for (const cluster of this.#clusters) cluster.up(link);
  }

  suspended(): void {
    // what is sent waits, and nobody notices
  }

  resumed(): void {}

  lost(_link: TrunkLink, reason: IsthmusError): void {
    for (const cluster of this.#clusters) cluster.lost(reason);
  }

  data(link: TrunkLink, channel: string, bytes: Buffer, more: boolean): void {
    const cluster = this.#byIncoming.get(channel);
    if (cluster !== undefined) cluster.data(bytes, more);
    else if (!this.#strange.has(channel)) {
      this.#strange.add(channel);
      this.#refuse(link, channel, bytes);
    }
  }

  denied(_link: TrunkLink, channel: string, reason: IsthmusError, cut: boolean): void {
    for (const cluster of this.#clusters) if (cluster.pair.outgoing === channel) cluster.denied(reason, cut);
  }

  cut(_link: TrunkLink, channel: string): void {
    this.#strange.delete(channel);
    this.#byIncoming.get(channel)?.cut();
  }

  writable(_link: TrunkLink, channel: string): void {
    for (const cluster of this.#clusters) if (cluster.pair.outgoing === channel) cluster.writable();
  }

  /** Tells the far site that there is no such pair here. */
  #refuse(link: TrunkLink, channel: string, bytes: Buffer): void {
    const [from, to, ...more] = channel.split(" ");
    const reason = bridgeError(
      "FAR_CLUSTER_REFUSED",
      `Site ${link.site} has no cluster ${to} that is joined with ${from} of site ${link.peer}.`,
      { context: { channel } },
    );
    this.#logger.error(
      { site: link.peer, channel, code: reason.code, reason: reason.message },
      "a cluster of another site is not known here",
    );
    if (to === undefined || more.length > 0 || isRefusal(bytes)) return;
    try {
      link.send(`${to} ${from}`, encodeRefuse(reason));
    } catch (error) {
      if (!isIsthmusError(error)) throw error;
      this.#logger.warn({ site: link.peer, code: error.code, reason: error.message }, "it could not be told");
    }
  }
}
