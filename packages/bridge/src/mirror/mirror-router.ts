import type { Connection, SignalRouter } from "@isthmus/core";
import type { Signal } from "@isthmus/core/channel";
import type { PieceTaker } from "@isthmus/wire";
import type { ClusterRouter } from "../routing/cluster-router.ts";
import { homeOf } from "../routing/home.ts";
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

  long(connection: Connection, signal: Signal): PieceTaker["next"] | undefined {
    return this.#cluster.long(connection, signal, this.#mirrored);
  }

  up(connection: Connection): void {
    this.#cluster.up(connection);
  }

  /** Between two nodes that are mirrored to each other there are two connections: whoever loses one loses both. */
  down(connection: Connection): void {
    this.#cluster.down(connection);
    const { to, node } = this.#mirrored;
    const back = homeOf(this.#cluster.lane(to), connection, undefined);
    if (back !== to.node) back.disconnect(node.text);
  }

  writable(connection: Connection): void {
    this.#cluster.writable(connection);
  }
}
