import type { Connection, SignalRouter } from "@isthmus/core";
import type { Signal } from "@isthmus/core/channel";
import type { ClusterRouter } from "../routing/cluster-router.ts";
import type { Mirrored } from "../routing/remote-calls.ts";

/** Sits before the node of a mirror: what comes there is for the node that it stands for. */
export class MirrorRouter implements SignalRouter {
  readonly #cluster: ClusterRouter;
  readonly #mirrored: Mirrored;

  /** @param cluster the one in which the mirror is */
  constructor(cluster: ClusterRouter, mirrored: Mirrored) {
    this.#cluster = cluster;
    this.#mirrored = mirrored;
  }

  route(connection: Connection, signal: Signal): boolean {
    return this.#cluster.route(connection, signal, this.#mirrored);
  }

  up(connection: Connection): void {
    this.#cluster.up(connection);
  }

  down(connection: Connection): void {
    this.#cluster.down(connection);
  }

  writable(connection: Connection): void {
    this.#cluster.writable(connection);
  }
}
