import { trunkError } from "./errors.ts";
import { CHUNK_BYTES, MIN_WINDOW_BYTES } from "./frames.ts";

/** Bounds of a trunk, per far site. */
export interface TrunkLimits {
  /**
   * Bytes that the peer may send on each channel before we have taken them: what one slow channel holds in memory
   * here. By 32 bytes a frame more than the payload. Throughput of a channel is at most this per round trip.
   * @default 1 MiB
   */
  readonly windowBytes: number;
  /** Longest payload that is taken; one that comes in pieces is held here until it is whole. @default 128 MiB */
  readonly maxPayloadBytes: number;
  /** Most channels that the peer may open. @default 256 */
  readonly maxChannels: number;
  /** Bytes that are kept until they are acknowledged. @default 16 MiB */
  readonly maxUnackedBytes: number;
  /** Frames that are kept until they are acknowledged. @default 65536 */
  readonly maxUnackedFrames: number;
  /** With more than this waiting on a channel for credit, it is blocked. @default 1 MiB */
  readonly highWaterBytes: number;
  /** With more than this waiting on a channel, payloads are refused. @default 512 MiB */
  readonly maxQueuedBytes: number;
  /** Frames with at least so many bytes are deflated, where both sites want that. @default 1024 */
  readonly deflateFromBytes: number;
  /** How often the far site is asked whether it is there. Milliseconds. @default 10000 */
  readonly keepAliveMs: number;
  /** A connection without a sign of life for so long is given up. Milliseconds. @default 30000 */
  readonly silenceMs: number;
  /**
   * How long a session outlives its connection. After it everything that was under way is lost. The shorter time of
   * both sites holds. Milliseconds. @default 30000
   */
  readonly graceMs: number;
  /** How long connecting and the handshake may take, each. Milliseconds. @default 10000 */
  readonly handshakeMs: number;
}

/** What holds where nothing else is said. */
export const DEFAULT_TRUNK_LIMITS: TrunkLimits = {
  windowBytes: 1024 * 1024,
  maxPayloadBytes: 128 * 1024 * 1024,
  maxChannels: 256,
  maxUnackedBytes: 16 * 1024 * 1024,
  maxUnackedFrames: 65_536,
  highWaterBytes: 1024 * 1024,
  maxQueuedBytes: 512 * 1024 * 1024,
  deflateFromBytes: 1024,
  keepAliveMs: 10_000,
  silenceMs: 30_000,
  graceMs: 30_000,
  handshakeMs: 10_000,
};

const SMALLEST: TrunkLimits = {
  windowBytes: MIN_WINDOW_BYTES,
  maxPayloadBytes: CHUNK_BYTES,
  maxChannels: 1,
  maxUnackedBytes: 2 * CHUNK_BYTES,
  maxUnackedFrames: 2,
  highWaterBytes: 1,
  maxQueuedBytes: CHUNK_BYTES,
  deflateFromBytes: 1,
  keepAliveMs: 10,
  silenceMs: 10,
  graceMs: 0,
  handshakeMs: 1,
};

/** The limits with their defaults. @throws IsthmusError `TRUNK_OPTIONS_INVALID` */
export function trunkLimits(given: Partial<TrunkLimits> = {}): TrunkLimits {
  const limits = { ...DEFAULT_TRUNK_LIMITS, ...given };
  for (const key of Object.keys(SMALLEST) as (keyof TrunkLimits)[]) {
    const value = limits[key];
    if (Number.isSafeInteger(value) && value >= SMALLEST[key]) continue;
    throw trunkError(
      "TRUNK_OPTIONS_INVALID",
      `The trunk's limit ${key} is ${value}; it must be a whole number, ${SMALLEST[key]} or more.`,
      { context: { limit: key } },
    );
  }
  return limits;
}
