import { randomBytes } from "node:crypto";
import { type Clock, systemClock } from "@isthmus/wire";
import type { OpenWire } from "./dial.ts";
import { trunkError } from "./errors.ts";
import {
  connectNats,
  type NatsConnection,
  type NatsOptions,
  type NatsPackage,
  NatsSubjects,
} from "./nats-client.ts";
import { NatsWire, natsClosed } from "./nats-wire.ts";

/** Options of {@link natsDialer}. */
export interface NatsDialerOptions extends NatsOptions {
  /** Our site, and the one to reach; as in the options of {@link dialTrunk}. */
  readonly site: string;
  readonly peer: string;
  readonly clock?: Clock;
  /** @default loads the npm package `nats` */
  readonly load?: () => Promise<NatsPackage>;
}

/**
 * The way to a far site over NATS. Each connection of the trunk has a connection to NATS of its own.
 * @throws IsthmusError `TRUNK_OPTIONS_INVALID`
 */
export function natsDialer(options: NatsDialerOptions): OpenWire {
  const { site, peer } = options;
  const subjects = new NatsSubjects(options.prefix);
  return async (signal) => {
    const connection = await connectNats(options, signal, options.load);
    const id = randomBytes(12).toString("hex");
    const wire = new DialedWire(
      connection,
      subjects.hello(peer, site, id),
      subjects.wire(peer, site, id),
      options.clock ?? systemClock,
    );
    connection.subscribe(subjects.wire(site, peer, id), {
      callback: (_error, { data }) => wire.receive(data),
    });
    connection.subscribe(subjects.fresh(site, peer), {
      callback: () => wire.fail(trunkError("TRUNK_BROKEN", "The far site began to listen anew.")),
    });
    void connection.closed().then((error) => wire.fail(natsClosed(error)));
    const abort = (): void => wire.close();
    signal.addEventListener("abort", abort, { once: true });
    try {
      // the answer must find the way
      await connection.flush();
    } finally {
      signal.removeEventListener("abort", abort);
    }
    return wire;
  };
}

/** Sends its first message, the hello, to whoever listens at the far site; the rest to the one that answered. */
class DialedWire extends NatsWire {
  readonly #hello: NatsWire;
  #greeted = false;

  constructor(connection: NatsConnection, helloSubject: string, subject: string, clock: Clock) {
    const server = connection.info;
    const description = `nats ${server?.host ?? "?"}:${server?.port ?? "?"}`;
    // the hello has number 0
    super(connection, subject, description, { sent: 1, received: 0 }, () => leave(connection, clock));
    this.#hello = new NatsWire(
      connection,
      helloSubject,
      description,
      { sent: 0, received: 0 },
      () => undefined,
    );
  }

  override send(message: Buffer): void {
    if (this.#greeted) super.send(message);
    else {
      this.#greeted = true;
      this.#hello.send(message);
    }
  }
}

/** How long what was sent last may take to leave. */
const LEAVE_MS = 2_000;

function leave(connection: NatsConnection, clock: Clock): void {
  const end = (): void => void connection.close();
  const timer = clock.after(LEAVE_MS, end);
  connection.drain().then(
    () => timer.cancel(),
    // it is closed already
    () => timer.cancel(),
  );
}
