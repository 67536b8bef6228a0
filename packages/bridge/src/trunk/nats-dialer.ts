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
  natsDenied,
  watchDenied,
} from "./nats-client.ts";
import { CONNECTION_ID_BYTES, NatsWire, natsClosed } from "./nats-wire.ts";

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
  const { site, peer, clock = systemClock } = options;
  const subjects = new NatsSubjects(options.prefix);
  const way = {
    // for whoever listens at the far site; the rest is for the one that answered
    first: subjects.hello(site, peer),
    control: subjects.control(site, peer),
    data: (channel: string) => subjects.data(site, peer, channel),
  };
  return async (signal) => {
    const connection = await connectNats(options, signal, options.load);
    const id = randomBytes(CONNECTION_ID_BYTES);
    const onOver = (): void => leave(connection, clock);
    const wire = new NatsWire({ connection, id, way, clock, onOver });
    const all = subjects.all(peer, site);
    connection.subscribe(all, {
      callback: (error, message) => {
        if (error === null) wire.receive(message.data);
        else wire.fail(natsDenied("subscribe", all));
      },
    });
    connection.subscribe(subjects.fresh(peer, site), {
      callback: (error) => {
        if (error === null) wire.fail(trunkError("TRUNK_BROKEN", "The far site began to listen anew."));
      },
    });
    void watchDenied(connection, (subject) => wire.denied(subject));
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
