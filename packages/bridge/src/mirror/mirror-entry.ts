import { type HiddenNode, type NodeEvent, startNode } from "@isthmus/core";
import { atom } from "@isthmus/etf";
import { type Clock, isIsthmusError, type Logger, parseNodeName } from "@isthmus/wire";
import { bridgeError } from "../errors.ts";
import { nodeOptions } from "../membership.ts";
import { DEFAULT_MAX_MIRRORS, type MirrorOptions, type OwnClusterOptions } from "../options.ts";
import { anyMatches, type Pattern, pattern } from "../policy/pattern.ts";
import type { ClusterRouter } from "../routing/cluster-router.ts";
import type { MessageLimits } from "../routing/context.ts";
import { Mirror } from "./mirror.ts";
import type { MirrorRouter } from "./mirror-router.ts";

/** A mirror, as `isthmus` shows it. */
export interface MirrorStatus {
  /** The cluster in which it is. */
  readonly from: string;
  /** The cluster that has the node. */
  readonly to: string;
  readonly name: string;
  /** The node that it stands for. */
  readonly of: string;
  /** The port that it listens on; undefined while it cannot be started. */
  readonly port: number | undefined;
}

/** What {@link MirrorEntry} needs. */
export interface MirrorEntryContext {
  readonly from: ClusterRouter;
  readonly to: ClusterRouter;
  /** The options of `from`. */
  readonly cluster: OwnClusterOptions;
  readonly limits: MessageLimits;
  readonly names: MirrorNames;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** Which names mirrors of one bridge have, by cluster. */
export class MirrorNames {
  readonly #taken = new Set<string>();
  readonly #ending = new Map<string, Promise<void>>();

  /** @returns whether it was free; wait for {@link MirrorNames.free} then */
  take(cluster: string, name: string): boolean {
    const key = `${cluster} ${name}`;
    if (this.#taken.has(key)) return false;
    this.#taken.add(key);
    return true;
  }

  /** Resolves when the node that had the name last is gone from epmd. */
  async free(cluster: string, name: string): Promise<void> {
    await this.#ending.get(`${cluster} ${name}`);
  }

  /** @param ended when the node that had the name is gone */
  release(cluster: string, name: string, ended: Promise<void>): void {
    const key = `${cluster} ${name}`;
    this.#taken.delete(key);
    const done = ended.finally(() => {
      if (this.#ending.get(key) === done) this.#ending.delete(key);
    });
    this.#ending.set(key, done);
  }
}

/** One entry of the configuration: the mirrors of one cluster's nodes in another. */
export class MirrorEntry {
  readonly options: MirrorOptions;
  readonly #context: MirrorEntryContext;
  readonly #patterns: readonly Pattern[] | undefined;
  /** By the names of the nodes. */
  readonly #mirrors = new Map<string, Mirror>();
  /** Ports in use, and by which mirror. */
  readonly #ports = new Map<number, string>();
  /** What is not quite gone yet. */
  readonly #ending = new Set<Promise<void>>();
  readonly #stop: () => void;
  #full = false;
  #leaving = false;

  constructor(options: MirrorOptions, context: MirrorEntryContext) {
    this.options = options;
    this.#context = context;
    this.#patterns = options.nodes?.map(pattern);
    const { node } = context.to;
    this.#stop = node.onNodeEvent((event) => this.#onNode(event));
    for (const { node: name } of node.nodes()) this.#mirror(name, true);
  }

  status(): MirrorStatus[] {
    const { from, to } = this.options;
    return Array.from(this.#mirrors.values(), ({ name, of, port }) => ({ from, to, name, of, port }));
  }

  /** No new mirrors, and no new connections to those that there are. */
  async leave(): Promise<void> {
    this.#leaving = true;
    await Promise.all(Array.from(this.#mirrors.values(), (mirror) => mirror.leave()));
  }

  /** Resolves when everything that was sent is with the operating system, or after `timeoutMs`. */
  async flushed(timeoutMs: number): Promise<void> {
    await Promise.all(Array.from(this.#mirrors.values(), (mirror) => mirror.flushed(timeoutMs)));
  }

  /** Ends all mirrors, at once for those who are connected. */
  async close(): Promise<void> {
    this.#stop();
    for (const node of [...this.#mirrors.keys()]) this.#end(node);
    await Promise.all(this.#ending);
  }

  #onNode({ type, node }: NodeEvent): void {
    if (type === "up") {
      this.#mirror(node, false);
      return;
    }
    this.#end(node);
    // there may be room now for one that had none
    for (const { node: other } of this.#context.to.node.nodes()) this.#mirror(other, true);
  }

  /**
   * Other bridges, and what they mirror, are never mirrored; hidden nodes only when a pattern says so.
   * @param late see {@link Mirror}
   */
  #mirror(node: string, late: boolean): void {
    const { from, to, names, logger, clock } = this.#context;
    const connection = to.node.connection(atom(node));
    if (this.#leaving || connection === undefined || connection.joinsBridges) return;
    if (this.#mirrors.has(node)) return;
    if (this.#patterns === undefined ? connection.hidden : !anyMatches(this.#patterns, node)) return;
    const { max = DEFAULT_MAX_MIRRORS } = this.options;
    const name = this.#nameOf(node);
    const about = { cluster: from.id, mirror: name, of: node };
    if (this.#mirrors.size >= max) {
      if (!this.#full)
        logger.error({ ...about, max, code: "MIRROR_LIMIT" }, "there are as many mirrors as may be");
      this.#full = true;
      return;
    }
    if (!names.take(from.id, name)) {
      logger.error({ ...about, code: "MIRROR_NAME_TAKEN" }, "another mirror has this name already");
      return;
    }
    const start = (router: MirrorRouter, creation: number) => this.#start(name, router, creation);
    this.#mirrors.set(node, new Mirror({ from, to, connection, name, late, start, logger, clock }));
  }

  #end(node: string): void {
    const mirror = this.#mirrors.get(node);
    if (mirror === undefined) return;
    this.#mirrors.delete(node);
    this.#full = false;
    const ended = mirror.close().then(() => {
      for (const [port, name] of this.#ports) if (name === mirror.name) this.#ports.delete(port);
      this.#ending.delete(ended);
    });
    this.#ending.add(ended);
    this.#context.names.release(this.#context.from.id, mirror.name, ended);
  }

  #nameOf(node: string): string {
    const { name, host } = parseNodeName(node);
    const { as = `{name}@${parseNodeName(this.#context.cluster.node).host}` } = this.options;
    return as.replaceAll("{name}", name).replaceAll("{host}", host);
  }

  async #start(name: string, router: MirrorRouter, creation: number): Promise<HiddenNode> {
    const { from, cluster, limits, names, logger, clock } = this.#context;
    await names.free(from.id, name);
    if (name === cluster.node || from.node.connection(atom(name)) !== undefined) {
      throw bridgeError("MIRROR_NAME_TAKEN", `${name} is the name of another node of ${from.id}.`, {
        context: { node: name },
      });
    }
    const options = { ...nodeOptions(cluster, limits), name, creation, router, logger, clock };
    const host = cluster.listen?.host;
    return this.#listening(name, (port) =>
      startNode({ ...options, listen: { port, ...(host === undefined ? {} : { host }) } }),
    );
  }

  /** Starts a node on one of the ports that mirrors may have. */
  async #listening(name: string, start: (port: number) => Promise<HiddenNode>): Promise<HiddenNode> {
    const { ports } = this.options;
    if (ports === undefined) return start(0);
    for (let port = ports.from; port <= ports.to; port++) {
      if (this.#ports.has(port)) continue;
      this.#ports.set(port, name);
      try {
        return await start(port);
      } catch (error) {
        this.#ports.delete(port);
        if (!isIsthmusError(error) || error.code !== "LISTEN_FAILED") throw error;
      }
    }
    throw bridgeError(
      "MIRROR_LIMIT",
      `None of the ports from ${ports.from} to ${ports.to} is free for a mirror.`,
      {
        context: { ...ports },
      },
    );
  }
}
