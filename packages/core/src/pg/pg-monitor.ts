import type { Pid, Term } from "@isthmus/etf";
import type { IsthmusError, Logger } from "@isthmus/wire";
import { coreError } from "../errors.ts";
import type { PgEvent } from "./groups.ts";

/** Options of {@link PgScope.monitor}. */
export interface PgMonitorOptions {
  /** Called with each event, as it happens, in place of iterating. */
  readonly onEvent?: (event: PgEvent) => void;
  /** Events that wait to be iterated over; when there are more, the monitor ends with `MAILBOX_FULL`. @default 10000 */
  readonly maxQueuedEvents?: number;
}

/** Events that wait for whoever iterates, unless told otherwise. */
export const DEFAULT_MAX_QUEUED_EVENTS = 10_000;

interface Waiter {
  readonly resolve: (result: IteratorResult<PgEvent>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Tells who joins and who leaves, from {@link PgMonitor.members} on. Iterating takes one event after the other and ends
 * when the monitor or the scope is closed, after the events that were still to come.
 */
export class PgMonitor implements AsyncIterable<PgEvent>, Disposable {
  /** The groups and their members when the monitor began. */
  readonly members: readonly (readonly [Term, readonly Pid[]])[];
  readonly #options: PgMonitorOptions;
  readonly #closed: () => void;
  #events: PgEvent[] = [];
  readonly #waiters: Waiter[] = [];
  #end: IsthmusError | "closed" | undefined;

  /** Use {@link PgScope.monitor}. */
  constructor(members: PgMonitor["members"], options: PgMonitorOptions, closed: () => void) {
    this.members = members;
    this.#options = options;
    this.#closed = closed;
  }

  /** Ends it. Any number of times. */
  close(): void {
    this.#finish("closed");
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal */
  put(event: PgEvent): void {
    if (this.#end !== undefined) return;
    if (this.#options.onEvent !== undefined) {
      this.#options.onEvent(event);
      return;
    }
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      waiter.resolve({ done: false, value: event });
      return;
    }
    const limit = this.#options.maxQueuedEvents ?? DEFAULT_MAX_QUEUED_EVENTS;
    if (this.#events.length < limit) {
      this.#events.push(event);
      return;
    }
    this.#events = [];
    this.#finish(
      coreError(
        "MAILBOX_FULL",
        `${limit} events waited in a monitor of pg and nobody took them: it was ended. Begin a new one, or raise maxQueuedEvents.`,
        { context: { limit } },
      ),
    );
  }

  [Symbol.asyncIterator](): AsyncIterator<PgEvent> {
    return {
      next: () =>
        new Promise((resolve, reject) => {
          const event = this.#events.shift();
          if (event !== undefined) resolve({ done: false, value: event });
          else if (this.#end === "closed") resolve({ done: true, value: undefined });
          else if (this.#end !== undefined) reject(this.#end);
          else this.#waiters.push({ resolve, reject });
        }),
      return: async () => {
        this.close();
        return { done: true, value: undefined };
      },
    };
  }

  #finish(end: IsthmusError | "closed"): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#closed();
    for (const { resolve } of this.#waiters.splice(0)) resolve({ done: true, value: undefined });
  }
}

/** The monitors of one scope. Events are kept until {@link PgMonitors.tell}, when what they say is all done. */
export class PgMonitors {
  /** With the key of the one group that a monitor watches. */
  readonly #monitors = new Map<PgMonitor, string | undefined>();
  readonly #logger: Logger;
  #events: (readonly [event: PgEvent, key: string])[] = [];
  #telling = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** @param key of the group to watch; undefined for all */
  open(members: PgMonitor["members"], key: string | undefined, options: PgMonitorOptions): PgMonitor {
    const monitor = new PgMonitor(members, options, () => this.#monitors.delete(monitor));
    this.#monitors.set(monitor, key);
    return monitor;
  }

  put(event: PgEvent, key: string): void {
    if (this.#monitors.size > 0) this.#events.push([event, key]);
  }

  /** Those who are told may join and leave: what comes of that is told after what they are told now. */
  tell(): void {
    if (this.#telling) return;
    this.#telling = true;
    while (this.#events.length > 0) {
      const events = this.#events;
      this.#events = [];
      for (const [event, key] of events) this.#tellAll(event, key);
    }
    this.#telling = false;
  }

  close(): void {
    for (const monitor of [...this.#monitors.keys()]) monitor.close();
  }

  #tellAll(event: PgEvent, key: string): void {
    for (const [monitor, watched] of [...this.#monitors]) {
      if (watched !== undefined && watched !== key) continue;
      try {
        monitor.put(event);
      } catch (error) {
        this.#logger.error({ error }, "a listener for events of pg threw");
      }
    }
  }
}
