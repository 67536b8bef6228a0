import type { Connection, HiddenNode } from "@isthmus/core";
import { type Atom, atom } from "@isthmus/etf";
import { backoffDelay, type Clock, isIsthmusError, type Logger, type Timer } from "@isthmus/wire";
import { bridgeError } from "../errors.ts";
import type { ClusterRouter } from "../routing/cluster-router.ts";
import type { Standin } from "../translate/identity-index.ts";
import type { Place } from "../translate/translator.ts";
import { MirrorRouter } from "./mirror-router.ts";

/** How long nothing is read from the mirrored node, so that what it sends goes one way, and then the other. */
const HOLD_MS = 2000;
/** Delays between attempts to start, in milliseconds. */
const RETRY = { firstMs: 250, maxMs: 30_000 };

/** What {@link Mirror} needs. */
export interface MirrorContext {
  /** The cluster in which it is. */
  readonly from: ClusterRouter;
  /** The cluster that has the node. */
  readonly to: ClusterRouter;
  /** The connection with the node. */
  readonly connection: Connection;
  /** The mirror's name. */
  readonly name: string;
  /** Whether the node was connected before: then it may have sent something that went over the bridge's connections. */
  readonly late: boolean;
  /**
   * Starts the mirror's node.
   * @throws IsthmusError when that cannot be, now
   */
  readonly start: (router: MirrorRouter, creation: number) => Promise<HiddenNode>;
  readonly logger: Logger;
  readonly clock: Clock;
}

/**
 * One node of a cluster, in its present incarnation, as a node of another. The mirror's creation is the one that stands
 * for this incarnation: so it is the same when the connection was lost for a while, and another when the node was.
 */
export class Mirror {
  readonly name: string;
  /** The node that it stands for. */
  readonly of: string;
  readonly #context: MirrorContext;
  readonly #atom: Atom;
  #standin: Standin<Place> | undefined;
  #node: HiddenNode | undefined;
  #timer: Timer | undefined;
  /** While nothing is read from the node: what ends that, and when it has ended. */
  #release: (() => void) | undefined;
  #held: Promise<void> = Promise.resolve();
  #attempts = 0;
  #starting: Promise<void>;
  /** It does not start any more. */
  #leaving = false;
  #closed: Promise<void> | undefined;

  constructor(context: MirrorContext) {
    this.#context = context;
    this.name = context.name;
    this.of = context.connection.peer.text;
    this.#atom = atom(context.name);
    if (!context.late) this.#hold();
    this.#starting = this.#start();
  }

  /** The port that it listens on; undefined while it does not. */
  get port(): number | undefined {
    return this.#node?.port;
  }

  /** No new connections; those that there are stay. One that is not up yet does not come up any more. */
  async leave(): Promise<void> {
    this.#leave();
    await (this.#node === undefined ? this.#starting : this.#node.leave());
  }

  /** Resolves when everything that was sent is with the operating system, or after `timeoutMs`. */
  async flushed(timeoutMs: number): Promise<void> {
    await this.#node?.flushed(timeoutMs);
  }

  /** Its end, at once for those who are connected. Resolves when its name is free. */
  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  #leave(): void {
    this.#leaving = true;
    this.#timer?.cancel();
    this.#release?.();
  }

  async #end(): Promise<void> {
    const { from, logger } = this.#context;
    this.#leave();
    const node = this.#node;
    if (node === undefined) {
      await this.#starting;
      return;
    }
    this.#node = undefined;
    from.mirrors.delete(this.#atom);
    if (this.#standin !== undefined) from.index.rename(this.#standin, undefined);
    logger.info({ cluster: from.id, mirror: this.name, of: this.of }, "mirror is gone");
    await node.close();
  }

  /** Nothing is read from the node until `#release`, or for too long already. */
  #hold(): void {
    const { connection, clock } = this.#context;
    connection.pause();
    this.#held = new Promise((resolve) => {
      const timer = clock.after(HOLD_MS, () => this.#release?.());
      this.#release = () => {
        this.#release = undefined;
        timer.cancel();
        connection.resume();
        resolve();
      };
    });
  }

  async #start(): Promise<void> {
    const { from, to, connection, logger } = this.#context;
    const about = { cluster: from.id, mirror: this.name, of: this.of };
    try {
      const { peer, peerCreation } = connection;
      const standin = from.index.standin(to, peer, peerCreation, from.creation);
      if (standin.node !== from.self) {
        throw bridgeError("MIRROR_NAME_TAKEN", `${this.of} has the mirror ${standin.node.text} already.`, {
          context: { node: this.of },
        });
      }
      const router = new MirrorRouter(from, { name: this.#atom, to, node: peer });
      const node = await this.#context.start(router, standin.creation);
      // the mirror's connections must not overtake what is under way on the bridge's: what came while nothing held the
      // node up, or in an earlier connection from processes that OTP 23 cannot read
      if (!this.#leaving && (this.#release === undefined || from.index.narrow)) {
        if (this.#release === undefined) this.#hold();
        await Promise.race([this.#held, from.settled()]);
      }
      if (this.#leaving) {
        await node.close();
        return;
      }
      this.#node = node;
      this.#standin = standin;
      from.mirrors.set(this.#atom, node);
      from.index.rename(standin, this.#atom);
      logger.info({ ...about, port: node.port }, "mirror is up");
    } catch (error) {
      if (this.#leaving) return;
      const delay = backoffDelay(this.#attempts++, RETRY, Math.random());
      logger.error(
        {
          ...about,
          ...(isIsthmusError(error) ? { code: error.code, reason: error.message } : { err: error }),
        },
        `the mirror cannot be started; it is tried again in ${delay} ms`,
      );
      this.#timer = this.#context.clock.after(delay, () => {
        this.#starting = this.#start();
      });
    }
    this.#release?.();
  }
}
