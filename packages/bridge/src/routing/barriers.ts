import { randomInt } from "node:crypto";
import type { Connection } from "@isthmus/core";
import { type Atom, atom, Pid, Reference } from "@isthmus/etf";
import type { Clock, Timer } from "@isthmus/wire";

/** No process has this name. */
export const NOBODY: Atom = atom("isthmus_nobody");

/**
 * Points in what is sent on a connection. What comes over one is dealt with in order, so the answer to a monitor says that
 * what went before it has arrived. The monitor is nobody's: a mirror has no processes of its own.
 */
export class Barriers {
  readonly #reached = new Map<string, () => void>();

  /** Resolves when the peer has taken all that was sent on `connection` until now, or the connection is lost. */
  reached(connection: Connection): Promise<void> {
    if (connection.closeReason !== undefined) return Promise.resolve();
    const node = atom(connection.localName);
    // OTP 23 reads 18 bits of the first word
    const words = [randomInt(2 ** 18), randomInt(2 ** 32), randomInt(2 ** 32)];
    const ref = new Reference(node, connection.localCreation, words);
    return new Promise((resolve) => {
      this.#reached.set(keyOf(ref), resolve);
      connection.signals.monitor(new Pid(node, 0, 0, connection.localCreation), NOBODY, ref);
    });
  }

  /** A DOWN of {@link NOBODY}. @returns whether it is ours */
  down(ref: Reference): boolean {
    const key = keyOf(ref);
    const resolve = this.#reached.get(key);
    this.#reached.delete(key);
    resolve?.();
    return resolve !== undefined;
  }

  /** The connection is lost. */
  lost(): void {
    for (const resolve of this.#reached.values()) resolve();
    this.#reached.clear();
  }
}

/** Whether `reached` resolves within `ms` milliseconds. */
export async function reachedWithin(clock: Clock, ms: number, reached: Promise<unknown>): Promise<boolean> {
  let timer: Timer | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = clock.after(ms, () => resolve(false));
  });
  const inTime = await Promise.race([reached.then(() => true), late]);
  timer?.cancel();
  return inTime;
}

function keyOf({ words }: Reference): string {
  return words.join(" ");
}
