import type { Term } from "@isthmus/etf";
import type { Clock, Timer } from "@isthmus/wire";
import { coreError } from "../errors.ts";

/** Options of a selective receive. */
export interface ReceiveOptions<T extends Term = Term> {
  /** Which message to take; the others stay, in order. @default any */
  readonly match?: ((message: Term) => message is T) | ((message: Term) => boolean);
  /** How long to wait, in milliseconds; 0 only looks. @default for ever */
  readonly timeoutMs?: number;
  /** Ends the waiting; the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
}

interface Waiter {
  readonly match: ((message: Term) => boolean) | undefined;
  readonly resolve: (message: Term) => void;
  readonly reject: (error: unknown) => void;
}

/** A message that came with a seq_trace token. */
class Traced {
  readonly message: Term;
  readonly token: Term;

  constructor(message: Term, token: Term) {
    this.message = message;
    this.token = token;
  }
}

/** Messages that wait to be received, up to a limit. */
export class Mailbox {
  /** Messages that came when it was full. */
  dropped = 0;
  readonly #clock: Clock;
  readonly #limit: number;
  /** Told the token of each message that is received; undefined for none. */
  readonly #received: (token: Term | undefined) => void;
  #messages: (Term | Traced)[] = [];
  #head = 0;
  readonly #waiters = new Set<Waiter>();

  constructor(clock: Clock, limit: number, received: (token: Term | undefined) => void = () => undefined) {
    this.#clock = clock;
    this.#limit = limit;
    this.#received = received;
  }

  get size(): number {
    return this.#messages.length - this.#head;
  }

  /** Hands the message to whoever waits for it, or keeps it. @returns false when it is full, and the message is lost */
  put(message: Term, token?: Term): boolean {
    for (const waiter of this.#waiters) {
      if (this.#accepts(waiter, message)) {
        this.#received(token);
        waiter.resolve(message);
        return true;
      }
    }
    if (this.size >= this.#limit) {
      this.dropped++;
      return false;
    }
    this.#messages.push(token === undefined ? message : new Traced(message, token));
    return true;
  }

  /** @throws what `match` throws; by promise: IsthmusError `RECEIVE_TIMEOUT`, or the signal's reason */
  receive(options: ReceiveOptions): Promise<Term> {
    const { match, timeoutMs, signal } = options;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const found = this.#take(match);
      if (found !== undefined) {
        resolve(found);
        return;
      }
      if (timeoutMs === 0) {
        reject(timedOut(timeoutMs));
        return;
      }
      let timer: Timer | undefined;
      const done = (): void => {
        this.#waiters.delete(waiter);
        timer?.cancel();
        signal?.removeEventListener("abort", onAbort);
      };
      const waiter: Waiter = {
        match,
        resolve: (message) => {
          done();
          resolve(message);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
      const onAbort = (): void => waiter.reject(signal?.reason);
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiters.add(waiter);
      if (timeoutMs !== undefined && timeoutMs !== Number.POSITIVE_INFINITY) {
        timer = this.#clock.after(timeoutMs, () => waiter.reject(timedOut(timeoutMs)));
      }
    });
  }

  /** Removes every message that `match` accepts. */
  remove(match: (message: Term) => boolean): void {
    this.#messages = this.#messages.slice(this.#head).filter((kept) => !match(messageOf(kept)));
    this.#head = 0;
  }

  /** Throws all messages away and rejects everybody who waits. */
  close(error: unknown): void {
    this.#messages = [];
    this.#head = 0;
    for (const waiter of this.#waiters) waiter.reject(error);
  }

  #take(match: Waiter["match"]): Term | undefined {
    const messages = this.#messages;
    for (let at = this.#head; at < messages.length; at++) {
      const kept = messages[at] as Term | Traced;
      const message = messageOf(kept);
      if (match !== undefined && !match(message)) continue;
      if (at > this.#head) messages.splice(at, 1);
      else this.#removeHead();
      this.#received(kept instanceof Traced ? kept.token : undefined);
      return message;
    }
    return undefined;
  }

  #removeHead(): void {
    this.#messages[this.#head++] = 0;
    if (this.#head === this.#messages.length) {
      this.#messages = [];
      this.#head = 0;
    } else if (this.#head >= 1024 && this.#head * 2 >= this.#messages.length) {
      this.#messages = this.#messages.slice(this.#head);
      this.#head = 0;
    }
  }

  #accepts(waiter: Waiter, message: Term): boolean {
    if (waiter.match === undefined) return true;
    try {
      return waiter.match(message);
    } catch (error) {
      // the fault of the one who waits: the message goes on to the next
      waiter.reject(error);
      return false;
    }
  }
}

function messageOf(kept: Term | Traced): Term {
  return kept instanceof Traced ? kept.message : kept;
}

function timedOut(timeoutMs: number): Error {
  return coreError("RECEIVE_TIMEOUT", `No matching message came within ${timeoutMs} ms.`, {
    context: { timeoutMs },
  });
}
