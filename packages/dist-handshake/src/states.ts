import type { IsthmusError } from "@isthmus/wire";
import type { HandshakeOutcome } from "./handshake.ts";

/*
 * All legal transitions of both roles live here; anything else is one coded error. The picture in the README is
 * drawn from this table by a test.
 */

/** State, then the message (or `start`) that leaves it, then where it may lead. Every state may lead to `failed`. */
export const TRANSITIONS = {
  initiator: {
    idle: { start: ["awaiting_status"] },
    awaiting_status: { status: ["awaiting_challenge"], named: ["awaiting_challenge"] },
    awaiting_challenge: { challenge: ["awaiting_ack"] },
    awaiting_ack: { ack: ["done"] },
    done: {},
    failed: {},
  },
  acceptor: {
    idle: { start: ["awaiting_name"] },
    awaiting_name: { name: ["awaiting_answer", "awaiting_complement", "awaiting_reply"] },
    awaiting_answer: { status: ["awaiting_complement", "awaiting_reply"] },
    awaiting_complement: { complement: ["awaiting_reply"] },
    awaiting_reply: { reply: ["done"] },
    done: {},
    failed: {},
  },
} as const;

/** What an initiator knows at each step. */
export type InitiatorState =
  | { readonly kind: "idle" }
  | { readonly kind: "awaiting_status" }
  | {
      readonly kind: "awaiting_challenge";
      readonly localName: string;
      readonly localCreation: number;
      readonly replacesOld: boolean;
    }
  | { readonly kind: "awaiting_ack"; readonly challenge: number; readonly outcome: HandshakeOutcome }
  | Ended;

/** The caller, as far as an acceptor knows it. */
export interface AcceptedName {
  readonly peer: string;
  readonly peerCreation: number;
  /** With `MANDATORY_25_DIGEST` written out; the low half only until the complement of an old name arrives. */
  readonly peerFlags: bigint;
  readonly old: boolean;
  /** Our flags as announced to this peer. */
  readonly flags: bigint;
  readonly replacesOld: boolean;
}

/** What an acceptor knows at each step. */
export type AcceptorState =
  | { readonly kind: "idle" }
  | { readonly kind: "awaiting_name" }
  | { readonly kind: "awaiting_answer"; readonly name: AcceptedName }
  | { readonly kind: "awaiting_complement"; readonly name: AcceptedName; readonly challenge: number }
  | { readonly kind: "awaiting_reply"; readonly name: AcceptedName; readonly challenge: number }
  | Ended;

/** Both roles end in one of these. */
export type Ended =
  | { readonly kind: "done"; readonly outcome: HandshakeOutcome }
  | { readonly kind: "failed"; readonly error: IsthmusError };

type Row = Readonly<Record<string, readonly string[]>>;

/** Where `message` may lead from `state`; undefined when it may not come there at all. */
export function targets(
  role: keyof typeof TRANSITIONS,
  state: string,
  message: string,
): readonly string[] | undefined {
  const table: Readonly<Record<string, Row>> = TRANSITIONS[role];
  return table[state]?.[message];
}
