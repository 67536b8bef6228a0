import type { Clock, Logger } from "@isthmus/wire";
import { formError } from "./errors.ts";
import type { LocalNode } from "./local-node.ts";

/** Options of {@link Removals}. */
export interface RemovalsOptions {
  readonly local: LocalNode;
  /** Whether some topology wants the node after all. */
  readonly isWanted: (node: string) => boolean;
  /** Aborted when nothing is to be removed any more. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Between two looks at a node that was held back. Milliseconds. @default 5000 */
  readonly intervalMs?: number;
}

/** How long a node that should go may take to say whom it is connected to, in milliseconds. */
const ANSWER_MS = 3000;
const DEFAULT_INTERVAL_MS = 5000;

/**
 * Has the local node end connections, as soon as that does no harm.
 *
 * Since OTP 25 `global` cuts connections so that no partitions overlap: whoever hears that A lost B drops B. When a
 * connection between two living nodes is closed each of them tells it to all others, so all drop both: the local
 * node would leave the cluster together with the peer. A peer that does not answer tells nobody. Hence the peer is
 * asked whom it is connected to, and while it shares neighbours with the local node it is left alone.
 */
export class Removals {
  readonly #options: RemovalsOptions;

  constructor(options: RemovalsOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the connection to `peer` has ended, by us or by itself.
   * @throws IsthmusError `REMOVAL_GIVEN_UP` when it is wanted again, `LOCAL_NODE_DOWN`, and the codes of calls
   */
  async remove(peer: string): Promise<void> {
    const { local, isWanted, signal, logger } = this.#options;
    for (let warned = false; local.connected.has(peer); warned = true) {
      const others = await this.#neighbours(peer);
      signal.throwIfAborted();
      if (isWanted(peer)) {
        throw formError("REMOVAL_GIVEN_UP", `${peer} is wanted again.`, { context: { node: peer } });
      }
      if (others === 0) {
        await local.disconnect(peer);
        logger.info({ node: peer }, "disconnected a node that discovery names no more");
        return;
      }
      if (!warned) {
        logger.warn(
          { node: peer, others },
          "discovery names a node no more that is up and connected to others too: to disconnect it here would make OTP's global cut off this node as well, so that waits until the node is stopped",
        );
      }
      await this.#pause();
    }
  }

  /** How many nodes that the local node is connected to `peer` is connected to as well; 0 where that does not matter. */
  async #neighbours(peer: string): Promise<number> {
    const { local } = this.#options;
    if (local.facts?.cutsOverlaps !== true) return 0;
    const others = await local.nodesOf(peer, ANSWER_MS);
    return others?.filter((node) => local.connected.has(node)).length ?? 0;
  }

  #pause(): Promise<void> {
    const { clock, signal, intervalMs = DEFAULT_INTERVAL_MS } = this.#options;
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        timer.cancel();
        reject(signal.reason);
      };
      const timer = clock.after(intervalMs, () => {
        signal.removeEventListener("abort", aborted);
        resolve();
      });
      signal.addEventListener("abort", aborted, { once: true });
    });
  }
}
