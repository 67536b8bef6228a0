import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import {
  type Clock,
  FrameSplitter,
  type IsthmusError,
  isIsthmusError,
  systemClock,
  type Timer,
} from "@isthmus/wire";
import { AcceptorHandshake, type AcceptorOptions } from "./acceptor.ts";
import { handshakeError } from "./errors.ts";
import {
  DEFAULT_HANDSHAKE_TIMEOUT_MS,
  DEFAULT_MAX_HANDSHAKE_FRAME_BYTES,
  type HandshakeOutcome,
  type HandshakeStep,
  optionsInvalid,
} from "./handshake.ts";
import { InitiatorHandshake, type InitiatorOptions } from "./initiator.ts";
import { quietForGood, quietForThisTurn } from "./quiet.ts";
import { tlsError } from "./tls-errors.ts";

/** How long a refused peer may take to read why, before the connection is cut. */
const LINGER_MS = 1000;

/** Options of {@link runInitiator} and {@link runAcceptor} besides those of the machines. */
export interface RunOptions {
  /** Size of the length before each message: 2 on TCP (default), 4 inside TLS. */
  readonly lengthBytes?: 2 | 4;
  /** Time in milliseconds for each step, restarted after each message. Default {@link DEFAULT_HANDSHAKE_TIMEOUT_MS}. */
  readonly timeoutMs?: number;
  /** Longest message taken, in bytes. Default {@link DEFAULT_MAX_HANDSHAKE_FRAME_BYTES}. */
  readonly maxFrameBytes?: number;
  /** Ends the handshake with `HANDSHAKE_ABORTED`. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  /** Source of challenges. Default: the system's random generator. */
  readonly random?: () => number;
}

/** A finished handshake on a stream. */
export interface HandshakeRun {
  readonly outcome: HandshakeOutcome;
  /** What arrived after the last message of the handshake: the first bytes for the channel. Often empty. */
  readonly rest: Buffer;
}

/** What a driver needs of a machine. */
interface Machine {
  start(): HandshakeStep;
  receive(frame: Buffer): HandshakeStep;
  closed(cause?: unknown): HandshakeStep;
}

const systemChallenge = () => randomBytes(4).readUInt32BE();

/**
 * Dials: makes the handshake as initiator on a connected stream (TCP, or TLS after its own handshake).
 *
 * On success the stream is paused and free of our listeners; attach yours and call `resume()` in the same turn, and
 * look at `stream.destroyed` first. On failure the stream is destroyed, after what still had to be told was written.
 * @throws IsthmusError rejects with one of the `HANDSHAKE_*` and `TLS_*` codes, `NODE_NAME_INVALID`
 */
export async function runInitiator(
  stream: Duplex,
  options: Omit<InitiatorOptions, "random"> & RunOptions,
): Promise<HandshakeRun> {
  const random = options.random ?? systemChallenge;
  return run(stream, () => new InitiatorHandshake({ ...options, random }), options);
}

/**
 * Accepts: makes the handshake as acceptor on a connected stream. Otherwise as {@link runInitiator}.
 * @throws IsthmusError rejects with one of the `HANDSHAKE_*` and `TLS_*` codes; whatever `decide` throws
 */
export async function runAcceptor(
  stream: Duplex,
  options: Omit<AcceptorOptions, "random"> & RunOptions,
): Promise<HandshakeRun> {
  const random = options.random ?? systemChallenge;
  return run(stream, () => new AcceptorHandshake({ ...options, random }), options);
}

function run(stream: Duplex, makeMachine: () => Machine, options: RunOptions): Promise<HandshakeRun> {
  const lengthBytes = options.lengthBytes ?? 2;
  const timeoutMs = options.timeoutMs ?? DEFAULT_HANDSHAKE_TIMEOUT_MS;
  const maxFrameBytes = options.maxFrameBytes ?? DEFAULT_MAX_HANDSHAKE_FRAME_BYTES;
  const clock = options.clock ?? systemClock;
  let machine: Machine;
  try {
    if (!(timeoutMs > 0)) throw optionsInvalid("timeoutMs must be positive", { timeoutMs });
    if (!(maxFrameBytes > 0)) throw optionsInvalid("maxFrameBytes must be positive", { maxFrameBytes });
    machine = makeMachine();
  } catch (error) {
    quietForGood(stream);
    stream.destroy();
    throw error;
  }

  return new Promise((resolve, reject) => {
    let timer: Timer | undefined;
    /** Bytes received before the current chunk, and bytes used up by frames: their difference locates `rest`. */
    let received = 0;
    let consumed = 0;
    let finished: HandshakeOutcome | undefined;
    let over = false;

    const splitter = new FrameSplitter({
      lengthBytes,
      maxFrameBytes,
      onFrame(bytes, start, end) {
        consumed += lengthBytes + end - start;
        follow(machine.receive(bytes.subarray(start, end)));
      },
    });

    const onData = (chunk: Buffer) => {
      try {
        splitter.push(chunk);
      } catch (error) {
        fail(
          isIsthmusError(error) && error.code === "FRAME_TOO_LARGE" ? tooLarge(error, lengthBytes) : error,
        );
        return;
      }
      if (finished !== undefined) succeed(finished, chunk.subarray(consumed - received));
      received += chunk.length;
    };
    const onEnd = () => follow(machine.closed());
    const onError = (error: Error) => {
      const mapped = tlsError(error);
      if (mapped !== undefined) fail(mapped);
      else follow(machine.closed(error));
    };
    const onAbort = () =>
      fail(
        handshakeError("HANDSHAKE_ABORTED", "The handshake was ended by its caller.", {
          cause: options.signal?.reason,
        }),
      );

    function follow(step: HandshakeStep): void {
      for (const frame of step.write) stream.write(prefixed(frame, lengthBytes));
      if (step.error !== undefined) {
        fail(step.error, step.write.length > 0);
      } else if (step.outcome === undefined) {
        restart();
      } else {
        finished = step.outcome;
        splitter.stop();
      }
    }

    function restart(): void {
      timer?.cancel();
      timer = clock.after(timeoutMs, () =>
        fail(
          handshakeError("HANDSHAKE_TIMEOUT", `The peer sent no whole message within ${timeoutMs} ms.`, {
            context: { timeoutMs },
          }),
        ),
      );
    }

    function detach(): void {
      over = true;
      timer?.cancel();
      options.signal?.removeEventListener("abort", onAbort);
      stream.removeListener("data", onData);
      stream.removeListener("end", onEnd);
      stream.removeListener("close", onEnd);
      stream.removeListener("error", onError);
    }

    function succeed(outcome: HandshakeOutcome, rest: Buffer): void {
      stream.pause();
      detach();
      quietForThisTurn(stream);
      resolve({ outcome, rest });
    }

    function fail(error: unknown, told = false): void {
      if (over) return;
      detach();
      splitter.stop();
      quietForGood(stream);
      if (told && stream.writable) {
        const linger = clock.after(LINGER_MS, () => stream.destroy());
        stream.once("close", () => linger.cancel());
        stream.end(() => stream.destroy());
      } else {
        stream.destroy();
      }
      reject(error);
    }

    if (options.signal?.aborted === true) {
      onAbort();
      return;
    }
    if (stream.destroyed || stream.readableEnded) {
      onEnd();
      return;
    }
    stream.on("error", onError);
    stream.on("end", onEnd);
    stream.on("close", onEnd);
    stream.on("data", onData);
    options.signal?.addEventListener("abort", onAbort, { once: true });
    follow(machine.start());
    stream.resume();
  });
}

function prefixed(frame: Buffer, lengthBytes: 2 | 4): Buffer {
  const bytes = Buffer.allocUnsafe(lengthBytes + frame.length);
  bytes.writeUIntBE(frame.length, 0, lengthBytes);
  frame.copy(bytes, lengthBytes);
  return bytes;
}

/** A length that is really the start of a TLS record (alert or handshake, version 3.x) deserves its own name. */
function tooLarge(error: IsthmusError, lengthBytes: 2 | 4): IsthmusError {
  const length = Number(error.context["length"]);
  const first = lengthBytes === 2 ? length : Math.floor(length / 0x10000);
  if (first === 0x1503 || first === 0x1603) {
    return handshakeError(
      "HANDSHAKE_PEER_SPEAKS_TLS",
      "The peer speaks TLS on a connection that is made without. Configure TLS on this side too.",
    );
  }
  return handshakeError(
    "HANDSHAKE_TOO_LARGE",
    `The peer announced a handshake message of ${length} bytes; at most ${error.context["limit"]} are taken. Check that the port belongs to an Erlang node and that both sides agree on TLS.`,
    { cause: error, context: error.context },
  );
}
