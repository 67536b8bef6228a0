import {
  type BackoffOptions,
  backoffDelay,
  type Clock,
  isIsthmusError,
  type Logger,
  silentLogger,
  systemClock,
  type Timer,
} from "@isthmus/wire";
import type { TrunkAcceptor } from "./acceptor.ts";
import {
  connectNats,
  type NatsConnection,
  type NatsOptions,
  type NatsPackage,
  NatsSubjects,
  natsDenied,
  watchDenied,
} from "./nats-client.ts";
import { connectionId, NatsWire, natsClosed } from "./nats-wire.ts";

/** Options of {@link startNatsListener}. */
export interface NatsListenerOptions extends NatsOptions {
  /** Who takes the connections. */
  readonly acceptor: TrunkAcceptor;
  /** Delays between attempts to reach NATS. @default 200 ms to 10 s */
  readonly backoff?: BackoffOptions;
  /** Does not wait for the first connection: NATS may come later. @default false */
  readonly patient?: boolean;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** @default loads the npm package `nats` */
  readonly load?: () => Promise<NatsPackage>;
}

/** How long what was sent last may take to leave. */
const LEAVE_MS = 2_000;

/** Takes connections of far sites over NATS. */
export interface NatsListener extends AsyncDisposable {
  /** Connected to NATS at present. */
  readonly connected: boolean;
  /** Takes no more connections and ends those that are there; links live on. Any number of times. */
  close(): Promise<void>;
}

/**
 * Listens for far sites over NATS, and reaches for NATS again whenever the connection is gone. It waits for the first
 * connection, unless it is `patient`. Only one process of a site may listen at a time: which one is for a lease to say.
 * @throws IsthmusError `PEER_DEPENDENCY_MISSING`, `TRUNK_UNREACHABLE`, `TRUNK_OPTIONS_INVALID`
 */
export async function startNatsListener(options: NatsListenerOptions): Promise<NatsListener> {
  const listener = new Listener(options);
  try {
    await listener.connect();
  } catch (error) {
    const mayCome = isIsthmusError(error) && error.code === "TRUNK_UNREACHABLE";
    if (options.patient !== true || !mayCome) throw error;
    listener.failed(error);
  }
  return listener;
}

class Listener implements NatsListener {
  readonly #options: NatsListenerOptions;
  readonly #subjects: NatsSubjects;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #stopped = new AbortController();
  readonly #wires = new Map<string, NatsWire>();
  #connection: NatsConnection | undefined;
  #attempt = 0;
  #timer: Timer | undefined;

  constructor(options: NatsListenerOptions) {
    this.#options = options;
    this.#subjects = new NatsSubjects(options.prefix);
    this.#logger = options.logger ?? silentLogger;
    this.#clock = options.clock ?? systemClock;
  }

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  async connect(): Promise<void> {
    const { acceptor, load } = this.#options;
    const connection = await connectNats(this.#options, this.#stopped.signal, load);
    this.#connection = connection;
    this.#attempt = 0;
    void connection.closed().then((error) => this.#lost(error));
    void watchDenied(connection, (subject) => {
      for (const wire of [...this.#wires.values()]) wire.denied(subject);
    });
    const hellos = this.#subjects.hellos(acceptor.site);
    connection.subscribe(hellos, {
      // if there are two all the same, one of them gets it
      queue: "isthmus",
      callback: (error, message) => {
        if (error === null) this.#hello(connection, message.subject, message.data);
        else this.#refused(hellos);
      },
    });
    for (const { peer } of acceptor.links) connection.publish(this.#subjects.fresh(acceptor.site, peer));
    this.#logger.info(
      { nats: connection.info?.host, port: connection.info?.port },
      "trunk listens over NATS",
    );
  }

  /** There is no connection; it is tried again. */
  failed(error: unknown): void {
    if (this.#stopped.signal.aborted) return;
    this.#logger.warn(
      { attempt: this.#attempt, reason: error instanceof Error ? error.message : String(error) },
      "trunk cannot reach NATS",
    );
    this.#later();
  }

  async close(): Promise<void> {
    this.#stopped.abort();
    this.#timer?.cancel();
    for (const wire of [...this.#wires.values()]) wire.fail(natsClosed(undefined));
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection === undefined) return;
    const closed = connection.closed();
    const timer = this.#clock.after(LEAVE_MS, () => void connection.close());
    // its promise is not waited for: it never settles when the timer has closed the connection meanwhile
    connection.drain().catch(() => connection.close());
    await closed;
    timer.cancel();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #hello(connection: NatsConnection, subject: string, data: Uint8Array): void {
    const { site } = this.#options.acceptor;
    const from = this.#subjects.sender(subject);
    const id = connectionId(data);
    if (id === undefined) return;
    const key = `${from} ${id.toString("hex")}`;
    if (this.#wires.has(key)) return;
    const way = {
      control: this.#subjects.control(site, from),
      data: (channel: string) => this.#subjects.data(site, from, channel),
    };
    const onOver = (): void => {
      this.#wires.delete(key);
      subscription.unsubscribe();
    };
    const wire = new NatsWire({ connection, id, way, clock: this.#clock, onOver });
    this.#wires.set(key, wire);
    const all = this.#subjects.all(from, site);
    const subscription = connection.subscribe(all, {
      callback: (error, message) => {
        if (error === null) wire.receive(message.data);
        else wire.fail(natsDenied("subscribe", all));
      },
    });
    this.#options.acceptor.take(wire);
    wire.receive(data);
  }

  /** Nobody can connect to us. */
  #refused(subject: string): void {
    const { code, message } = natsDenied("subscribe", subject);
    this.#logger.error({ code, reason: message }, "trunk cannot listen over NATS");
  }

  #lost(error: unknown): void {
    if (this.#connection === undefined) return;
    this.#connection = undefined;
    const reason = natsClosed(error);
    for (const wire of [...this.#wires.values()]) wire.fail(reason);
    this.#logger.warn({ code: reason.code, reason: reason.message }, "trunk lost NATS");
    this.#later();
  }

  #later(): void {
    const { backoff = { firstMs: 200, maxMs: 10_000 } } = this.#options;
    const delay = backoffDelay(this.#attempt++, backoff, Math.random());
    this.#timer = this.#clock.after(delay, () => {
      this.connect().catch((error: unknown) => this.failed(error));
    });
  }
}
