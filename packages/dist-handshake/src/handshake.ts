import { type IsthmusError, isIsthmusError, isNodeName } from "@isthmus/wire";
import type { Cookie } from "./cookie.ts";
import { handshakeError } from "./errors.ts";
import { expandFlags, FLAG, flagNames } from "./flags.ts";

/** Time for each step, as OTP's `net_setuptime` (protocol 2.5). */
export const DEFAULT_HANDSHAKE_TIMEOUT_MS = 7000;

/** Longest handshake message taken. The longest legal one, `named:` with a long name, has about a thousand bytes. */
export const DEFAULT_MAX_HANDSHAKE_FRAME_BYTES = 4096;

/** Ourselves, in either role. */
export interface LocalSide {
  /** Our full node name, `name@host`, within Latin-1. With `NAME_ME` in `flags`: the host part only. */
  readonly name: string;
  /** 1 to 2^32 - 1, from epmd or chosen at random at each start. Not used with `NAME_ME`. */
  readonly creation: number;
  /** What we can do, see `FLAG`; `HIDDEN_PASS_THROUGH` or `HIDDEN_FULL` for most. */
  readonly flags: bigint;
  /** The first is used to dial, any of them is accepted, so that a cookie can be changed node by node. */
  readonly cookies: readonly Cookie[] | ((peer: string) => readonly Cookie[]);
}

/** A finished handshake: the next byte in either direction belongs to the channel. */
export interface HandshakeOutcome {
  /** The peer's full node name. */
  readonly peer: string;
  /** 0 when the peer has not told it (only with `version` 5). */
  readonly peerCreation: number;
  /** What both can do: the AND of both words, `MANDATORY_25_DIGEST` written out. */
  readonly flags: bigint;
  /** What the peer announced, `MANDATORY_25_DIGEST` written out. */
  readonly peerFlags: bigint;
  /** Whether the connection is hidden: not both sides are published. */
  readonly hidden: boolean;
  /** Our name on this connection: the given one after `NAME_ME`. */
  readonly localName: string;
  readonly localCreation: number;
  /** 6 when both have `HANDSHAKE_23`, else 5. */
  readonly version: 5 | 6;
  /** The acceptor had a connection of that name, which this one replaces (status `alive`, answer `true`). */
  readonly replacesOld: boolean;
}

/** What to do next. Write the frames (each with its length prefix), in this order; after `error`, close. */
export interface HandshakeStep {
  readonly write: readonly Buffer[];
  readonly outcome?: HandshakeOutcome;
  readonly error?: IsthmusError;
}

/** The machine's input is checked once, so that nothing later can fail on it. */
export function checkLocalSide(local: LocalSide): void {
  const dynamic = (local.flags & FLAG.NAME_ME) !== 0n;
  const problem =
    BigInt.asUintN(64, local.flags) !== local.flags
      ? "the flags do not fit in 64 bits"
      : dynamic
        ? !isHostName(local.name)
          ? "with NAME_ME the name must be the host part only"
          : undefined
        : !isNodeName(local.name)
          ? "the node name must have the form name@host"
          : !Number.isInteger(local.creation) || local.creation < 1 || local.creation > 0xffffffff
            ? "the creation must be an integer from 1 to 4294967295"
            : undefined;
  if (problem !== undefined) throw optionsInvalid(problem, { node: local.name, creation: local.creation });
  if (/[\u0100-\uffff]/.test(local.name)) {
    throw optionsInvalid("the node name has a character outside Latin-1, which this protocol cannot carry", {
      node: local.name,
    });
  }
}

/** A host part: what may stand after the `@` of a node name. */
export function isHostName(host: string): boolean {
  return isNodeName(`x@${host}`);
}

export function cookiesFor(local: LocalSide, peer: string): readonly Cookie[] {
  const cookies = typeof local.cookies === "function" ? local.cookies(peer) : local.cookies;
  if (cookies.length === 0) {
    throw handshakeError(
      "HANDSHAKE_NO_COOKIE",
      `There is no cookie for ${peer}. Configure one, the same as on that node.`,
      { context: { peer } },
    );
  }
  return cookies;
}

/** Names of `required` flags that the peer lacks, as an error; undefined when it has them all. */
export function missingFlags(peer: string, peerFlags: bigint, required: bigint): IsthmusError | undefined {
  const missing = flagNames(required & ~peerFlags);
  if (missing.length === 0) return undefined;
  return handshakeError(
    "HANDSHAKE_FLAGS_REJECTED",
    `${peer} lacks what we require: ${missing.join(", ")}. Its release is too old for this connection, or the set of required flags is too large.`,
    { context: { peer, missing } },
  );
}

/** The part of an outcome that follows from names and flag words. */
export function makeOutcome(
  known: Pick<
    HandshakeOutcome,
    "peer" | "peerCreation" | "peerFlags" | "localName" | "localCreation" | "replacesOld"
  >,
  localFlags: bigint,
): HandshakeOutcome {
  const flags = expandFlags(localFlags) & known.peerFlags;
  return {
    ...known,
    flags,
    hidden: (flags & FLAG.PUBLISHED) === 0n,
    version: (flags & FLAG.HANDSHAKE_23) === 0n ? 5 : 6,
  };
}

export function optionsInvalid(
  problem: string,
  context: Readonly<Record<string, unknown>> = {},
): IsthmusError {
  return handshakeError("HANDSHAKE_OPTIONS_INVALID", `The handshake cannot be made: ${problem}.`, {
    context,
  });
}

export function outOfOrder(what: string): IsthmusError {
  return handshakeError(
    "HANDSHAKE_OUT_OF_ORDER",
    `${what}. Call start() once, then receive() for each frame until a step has an outcome or an error.`,
  );
}

export function cookieRejected(peer: string, who: string, cause?: unknown): IsthmusError {
  return handshakeError(
    "HANDSHAKE_COOKIE_REJECTED",
    `${who}: most likely the cookies of the two nodes differ. Compare the cookie configured here with erlang:get_cookie() there.`,
    { cause, context: { peer } },
  );
}

/** Completes "The peer ..." for a connection that ended, with the system's code when it broke. */
export function howClosed(cause: unknown): string {
  const code = cause instanceof Error ? (cause as NodeJS.ErrnoException).code : undefined;
  return code === undefined ? "closed the connection" : `lost the connection (${code})`;
}

/** Turns what our own code throws on bad input into a value; anything else is a bug and goes on. */
export function caught(error: unknown): IsthmusError {
  if (isIsthmusError(error)) return error;
  throw error;
}
