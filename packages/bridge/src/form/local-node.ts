import type { HiddenNode } from "@isthmus/core";
import type { Clock, IsthmusError, Logger, Timer } from "@isthmus/wire";
import { BeamCalls, type BeamFacts } from "./beam-calls.ts";
import { formError } from "./errors.ts";

/** Options of {@link LocalNode}. */
export interface LocalNodeOptions {
  /** Our own node, connected to the BEAM by somebody else. */
  readonly hidden: HiddenNode;
  /** The BEAM's name. */
  readonly name: string;
  readonly logger: Logger;
  readonly clock: Clock;
  /** How often it is asked for its connections, besides at every change. Milliseconds. @default 5000 */
  readonly intervalMs?: number;
}

/** Hears of the local node, and of those it is connected to. */
export interface LocalNodeListener {
  /** It can be asked from now on; `facts` hold until `down`. */
  up(facts: BeamFacts): void;
  /** The connection to it is lost. */
  down(reason: IsthmusError): void;
}

const DEFAULT_INTERVAL_MS = 5000;

/**
 * What the local BEAM node is connected to, kept up to date: asked anew whenever one of its connections comes or goes,
 * and every few seconds in case that was missed.
 */
export class LocalNode {
  readonly calls: BeamCalls;
  readonly #options: LocalNodeOptions;
  readonly #listener: LocalNodeListener;
  readonly #changes = new Set<(node: string, up: boolean) => void>();
  readonly #unsubscribe: () => void;
  /** Aborted when this connection is lost; undefined while there is none. */
  #session: AbortController | undefined;
  #connected: ReadonlySet<string> = new Set();
  #facts: BeamFacts | undefined;
  #asking: Promise<void> | undefined;
  #askAgain = false;
  /** It did not answer the last time. */
  #silent = false;
  #timer: Timer | undefined;

  constructor(options: LocalNodeOptions, listener: LocalNodeListener) {
    const { hidden, name } = options;
    this.#options = options;
    this.#listener = listener;
    this.calls = new BeamCalls(hidden, name);
    this.#unsubscribe = hidden.onNodeEvent((event) => {
      if (event.node !== name) return;
      if (event.type === "up") this.#begin();
      else this.#lost(event.reason);
    });
    if (hidden.nodes().some(({ node }) => node === name)) this.#begin();
  }

  /** Nodes that it is connected to, hidden ones too, without ourselves; empty while it is down. */
  get connected(): ReadonlySet<string> {
    return this.#connected;
  }

  /** Undefined while it is down. */
  get facts(): BeamFacts | undefined {
    return this.#facts;
  }

  /** Calls `listener` when one of its connections comes or goes. @returns a function that ends this */
  onChange(listener: (node: string, up: boolean) => void): () => void {
    this.#changes.add(listener);
    return () => this.#changes.delete(listener);
  }

  /** Has it connect to `peer`. @throws IsthmusError `PEER_UNREACHABLE`, `LOCAL_NODE_DOWN`, and the codes of calls */
  async connect(peer: string, signal: AbortSignal): Promise<void> {
    await this.calls.connect(peer, this.#within(signal));
    await this.refresh();
  }

  /** Has it end its connection to `peer`. @throws IsthmusError `LOCAL_NODE_DOWN`, and the codes of calls */
  async disconnect(peer: string): Promise<void> {
    await this.calls.disconnect(peer, this.#within());
    await this.refresh();
  }

  /** Whom `peer` is connected to; see {@link BeamCalls.nodesOf}. @throws IsthmusError `LOCAL_NODE_DOWN`, and the codes of calls */
  nodesOf(peer: string, ms: number): Promise<string[] | undefined> {
    return this.calls.nodesOf(peer, ms, this.#within());
  }

  /** Asks for its connections now, or once more after the present time; resolves when they are known. */
  async refresh(): Promise<void> {
    if (this.#asking !== undefined) this.#askAgain = true;
    else this.#asking = this.#ask();
    await this.#asking;
  }

  /** Asks and tells no more. */
  stop(): void {
    this.#unsubscribe();
    this.#end(this.#down());
    this.#changes.clear();
  }

  #begin(): void {
    this.#end(this.#down());
    const session = new AbortController();
    this.#session = session;
    void this.#open(session.signal);
  }

  async #open(signal: AbortSignal): Promise<void> {
    try {
      const [facts, connected] = await Promise.all([this.calls.facts(signal), this.calls.connected(signal)]);
      if (signal.aborted) return;
      this.#facts = facts;
      this.#connected = new Set(connected);
    } catch (error) {
      if (signal.aborted) return;
      // Whoever keeps the connection makes a new one, with the delays of failed attempts.
      this.#options.logger.warn({ node: this.#options.name, err: error }, "the local node does not answer");
      this.#options.hidden.disconnect(this.#options.name);
      return;
    }
    this.#listener.up(this.#facts);
    this.#schedule();
    void this.#follow(signal);
  }

  #lost(reason: IsthmusError): void {
    const was = this.#facts !== undefined;
    this.#end(reason);
    if (was) this.#listener.down(reason);
  }

  #end(reason: IsthmusError): void {
    this.#timer?.cancel();
    this.#session?.abort(reason);
    this.#session = undefined;
    this.#facts = undefined;
    this.#connected = new Set();
  }

  #schedule(): void {
    const { clock, intervalMs = DEFAULT_INTERVAL_MS } = this.#options;
    this.#timer?.cancel();
    this.#timer = clock.after(intervalMs, () => void this.refresh());
  }

  /** Refreshes whenever a connection of the local node comes or goes. */
  async #follow(signal: AbortSignal): Promise<void> {
    try {
      for (;;) {
        const next = this.calls.changed(signal);
        // after the subscription, so that nothing is missed in between
        await Promise.all([this.refresh(), next]);
        if (!(await next)) {
          this.#options.logger.debug(
            { node: this.#options.name },
            "the local node cannot be followed, it is asked at intervals",
          );
          return;
        }
      }
    } catch (error) {
      if (!signal.aborted)
        this.#options.logger.debug({ node: this.#options.name, err: error }, "no longer following");
    }
  }

  async #ask(): Promise<void> {
    try {
      do {
        this.#askAgain = false;
        await this.#askOnce();
      } while (this.#askAgain);
    } finally {
      this.#asking = undefined;
      if (this.#facts !== undefined) this.#schedule();
    }
  }

  async #askOnce(): Promise<void> {
    const signal = this.#session?.signal;
    if (signal === undefined) return;
    try {
      this.#compare(await this.calls.connected(signal));
      this.#silent = false;
    } catch (error) {
      // a lost connection is told by its own event
      if (signal.aborted) return;
      const { logger, name } = this.#options;
      const log = this.#silent ? "debug" : "warn";
      this.#silent = true;
      logger[log]({ node: name, err: error }, "the local node did not say whom it is connected to");
    }
  }

  #compare(names: readonly string[]): void {
    if (this.#facts === undefined) return;
    const before = this.#connected;
    const now = new Set(names);
    this.#connected = now;
    const changed: [string, boolean][] = [
      ...[...before].filter((node) => !now.has(node)).map((node): [string, boolean] => [node, false]),
      ...[...now].filter((node) => !before.has(node)).map((node): [string, boolean] => [node, true]),
    ];
    for (const [node, up] of changed) for (const listener of [...this.#changes]) listener(node, up);
  }

  /** Aborted with `signal`, and when the connection is lost. */
  #within(signal?: AbortSignal): AbortSignal {
    const session = this.#session?.signal;
    if (session === undefined) throw this.#down();
    return signal === undefined ? session : AbortSignal.any([signal, session]);
  }

  #down(): IsthmusError {
    const { name } = this.#options;
    return formError("LOCAL_NODE_DOWN", `There is no connection to the local node ${name}.`, {
      context: { node: name },
    });
  }
}
