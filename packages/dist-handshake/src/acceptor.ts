import { type IsthmusError, isNodeName, parseNodeName } from "@isthmus/wire";
import { digest, matchingCookie } from "./digest.ts";
import { handshakeError } from "./errors.ts";
import { expandFlags, FLAG, REQUIRED_DEFAULT } from "./flags.ts";
import {
  caught,
  checkLocalSide,
  cookieRejected,
  cookiesFor,
  type HandshakeStep,
  howClosed,
  isHostName,
  type LocalSide,
  makeOutcome,
  missingFlags,
  optionsInvalid,
  outOfOrder,
} from "./handshake.ts";
import {
  type ComplementMessage,
  decodeFromInitiator,
  encodeAck,
  encodeChallenge,
  encodeNamed,
  encodeOldChallenge,
  encodeStatus,
  type InitiatorMessage,
  malformed,
  type NameMessage,
  type ReplyMessage,
  type StatusMessage,
} from "./messages.ts";
import { type AcceptedName, type AcceptorState, targets } from "./states.ts";

/** Who is calling, before it has proven anything. */
export interface AcceptedPeer {
  /** Full node name; with `dynamic` the host part only. */
  readonly name: string;
  /** `MANDATORY_25_DIGEST` written out; the low 32 bits only when the caller uses the old form. */
  readonly flags: bigint;
  /** 0 when the caller has not told it yet (old form, or `dynamic`). */
  readonly creation: number;
  /** It asks for a name (`NAME_ME`): answer `{ named, creation }` or `"not_allowed"`. */
  readonly dynamic: boolean;
}

/**
 * The acceptor's answer (protocol 2.2): `ok`; `ok_simultaneous` or `nok` from `simultaneousDecision` when we are
 * dialling the same node; `alive` when a connection with it is up; `not_allowed`; `close` to end without a word, when
 * another attempt of the same node is being accepted; a name and creation for a caller that asked for one.
 */
export type AcceptDecision =
  | "ok"
  | "ok_simultaneous"
  | "nok"
  | "not_allowed"
  | "alive"
  | "close"
  | { readonly named: string; readonly creation: number };

/** Options of {@link AcceptorHandshake}. */
export interface AcceptorOptions {
  readonly local: LocalSide;
  /** A fresh 32-bit number each time, unpredictable. */
  readonly random: () => number;
  readonly decide: (peer: AcceptedPeer) => AcceptDecision;
  /** Flags that the caller must have. Default {@link REQUIRED_DEFAULT}, which lets OTP 23 to 29 in. */
  readonly required?: bigint;
}

/** The accepting side of a handshake, without I/O (protocol section 2; OTP `dist_util:handshake_other_started`). */
export class AcceptorHandshake {
  readonly #options: AcceptorOptions;
  #state: AcceptorState = { kind: "idle" };

  /** @throws IsthmusError `HANDSHAKE_OPTIONS_INVALID` */
  constructor(options: AcceptorOptions) {
    checkLocalSide(options.local);
    if ((options.local.flags & FLAG.NAME_ME) !== 0n) {
      throw optionsInvalid("a node without a name of its own cannot accept connections");
    }
    this.#options = options;
  }

  get state(): AcceptorState {
    return this.#state;
  }

  /** Nothing to write: the other side begins. @throws IsthmusError `HANDSHAKE_OUT_OF_ORDER` */
  start(): HandshakeStep {
    if (this.#state.kind !== "idle") throw outOfOrder("The handshake was started before");
    this.#state = { kind: "awaiting_name" };
    return { write: [] };
  }

  /**
   * Takes one frame. What the peer does wrong is in the step's `error`; the frame is not kept.
   * @throws IsthmusError `HANDSHAKE_OUT_OF_ORDER` before the start or after the end; whatever `decide` throws
   */
  receive(frame: Buffer): HandshakeStep {
    const { kind } = this.#state;
    if (kind === "idle" || kind === "done" || kind === "failed") {
      throw outOfOrder(`A frame was given to a handshake that is ${kind}`);
    }
    try {
      const message = decodeFromInitiator(frame);
      if (targets("acceptor", kind, message.kind) === undefined) {
        throw malformed(`a ${message.kind} message in state ${kind}`);
      }
      return this.#take(message);
    } catch (error) {
      return this.#fail(caught(error));
    }
  }

  /** The peer has closed, or the connection broke: what that means at this point. After the end it means nothing. */
  closed(cause?: unknown): HandshakeStep {
    if (this.#state.kind === "done" || this.#state.kind === "failed") return { write: [] };
    const { local } = this.#options;
    const state = this.#state;
    const peer = "name" in state ? state.name.peer : "The caller";
    const why =
      state.kind === "awaiting_reply" || state.kind === "awaiting_complement"
        ? `it may have looked for another node than ${local.name}, or require flags that we do not announce`
        : "it may not be an Erlang node, or have given up";
    return this.#fail(
      handshakeError("HANDSHAKE_CLOSED", `${peer} ${howClosed(cause)} during the handshake: ${why}.`, {
        cause,
        context: { peer, state: state.kind },
      }),
    );
  }

  #take(message: InitiatorMessage): HandshakeStep {
    switch (message.kind) {
      case "name":
        return this.#takeName(message);
      case "status":
        return this.#takeAnswer(message);
      case "complement":
        return this.#takeComplement(message);
      case "reply":
        return this.#takeReply(message);
    }
  }

  #takeName(message: NameMessage): HandshakeStep {
    const { local, decide } = this.#options;
    const dynamic = (message.flags & FLAG.NAME_ME) !== 0n;
    if (dynamic ? !isHostName(message.name) : !isNodeName(message.name)) {
      throw malformed(`the name ${JSON.stringify(message.name)}`);
    }
    const peerFlags = expandFlags(message.flags);
    // the high half of an old name comes later, with the complement
    const required = this.#required & (message.old ? 0xffffffffn : -1n);
    const missing = missingFlags(message.name, peerFlags, required);
    if (missing !== undefined) return this.#fail(missing, [encodeStatus("not_allowed")]);
    const decision = decide({
      name: message.name,
      flags: peerFlags,
      creation: message.creation,
      dynamic,
    });
    const name: AcceptedName = {
      peer: message.name,
      peerCreation: message.creation,
      peerFlags,
      old: message.old,
      flags: dynamic ? (local.flags | FLAG.NAME_ME) & ~FLAG.PUBLISHED : local.flags,
      replacesOld: decision === "alive",
    };
    if (typeof decision === "object") return this.#give(decision, name, dynamic);
    switch (decision) {
      case "ok":
      case "ok_simultaneous":
      case "alive":
        if (dynamic) {
          throw optionsInvalid(`${decision} is no answer to a node that asks for a name`, {
            host: message.name,
          });
        }
        if (decision !== "alive") return this.#challenge(name, encodeStatus(decision));
        this.#state = { kind: "awaiting_answer", name };
        return { write: [encodeStatus("alive")] };
      case "nok":
        return this.#fail(
          handshakeError(
            "HANDSHAKE_NOK",
            `${name.peer} dialled us while we dial it, and our attempt goes on. Wait for that one.`,
            { context: { peer: name.peer } },
          ),
          [encodeStatus("nok")],
        );
      case "not_allowed":
        return this.#fail(
          handshakeError(
            "HANDSHAKE_NOT_ALLOWED",
            `${name.peer} is not allowed to connect to ${local.name}.`,
            {
              context: { peer: name.peer },
            },
          ),
          [encodeStatus("not_allowed")],
        );
      case "close":
        return this.#fail(
          handshakeError(
            "HANDSHAKE_ALREADY_CONNECTED",
            `Another connection of ${name.peer} is being accepted; this one was closed.`,
            { context: { peer: name.peer } },
          ),
        );
    }
  }

  #give(
    given: Extract<AcceptDecision, { named: string }>,
    name: AcceptedName,
    dynamic: boolean,
  ): HandshakeStep {
    const fits = isNodeName(given.named) && parseNodeName(given.named).host === name.peer;
    if (!dynamic || !fits || !Number.isInteger(given.creation) || given.creation !== given.creation >>> 0) {
      throw optionsInvalid(
        dynamic
          ? "the name given must be on the caller's host and its creation a 32-bit number"
          : "a name was given to a node that has one",
        { peer: name.peer, given: given.named },
      );
    }
    const named = { ...name, peer: given.named, peerCreation: given.creation };
    return this.#challenge(named, encodeNamed(given.named, given.creation));
  }

  #takeAnswer({ status }: StatusMessage): HandshakeStep {
    const { name } = this.#state as Extract<AcceptorState, { kind: "awaiting_answer" }>;
    if (status === "true") return this.#challenge(name);
    return this.#fail(
      handshakeError(
        "HANDSHAKE_ALREADY_CONNECTED",
        `${name.peer} gave up: it keeps the connection that it has with us.`,
        { context: { peer: name.peer } },
      ),
    );
  }

  #challenge(name: AcceptedName, status?: Buffer): HandshakeStep {
    const { local, random } = this.#options;
    try {
      cookiesFor(local, name.peer);
    } catch (error) {
      return this.#fail(caught(error), status === undefined ? [] : [encodeStatus("not_allowed")]);
    }
    const challenge = random() >>> 0;
    const isNew = (name.peerFlags & FLAG.HANDSHAKE_23) !== 0n;
    const frame = isNew
      ? encodeChallenge(name.flags, challenge, local.creation, local.name)
      : encodeOldChallenge(name.flags, challenge, local.name);
    this.#state = { kind: name.old && isNew ? "awaiting_complement" : "awaiting_reply", name, challenge };
    return { write: status === undefined ? [frame] : [status, frame] };
  }

  #takeComplement(message: ComplementMessage): HandshakeStep {
    const { name, challenge } = this.#state as Extract<AcceptorState, { kind: "awaiting_complement" }>;
    if ((message.flags & FLAG.NAME_ME) !== 0n) throw malformed("a request for a name in the old form");
    const peerFlags = name.peerFlags | message.flags;
    const missing = missingFlags(name.peer, peerFlags, this.#required);
    if (missing !== undefined) return this.#fail(missing);
    this.#state = {
      kind: "awaiting_reply",
      name: { ...name, peerFlags, peerCreation: message.creation },
      challenge,
    };
    return { write: [] };
  }

  #takeReply(message: ReplyMessage): HandshakeStep {
    const { local } = this.#options;
    const { name, challenge } = this.#state as Extract<AcceptorState, { kind: "awaiting_reply" }>;
    const cookie = matchingCookie(challenge, cookiesFor(local, name.peer), message.digest);
    if (cookie === undefined) {
      return this.#fail(cookieRejected(name.peer, `${name.peer} could not prove that it knows our cookie`));
    }
    const { peer, peerCreation, peerFlags, replacesOld } = name;
    const outcome = makeOutcome(
      { peer, peerCreation, peerFlags, localName: local.name, localCreation: local.creation, replacesOld },
      name.flags,
    );
    this.#state = { kind: "done", outcome };
    return { write: [encodeAck(digest(message.challenge, cookie))], outcome };
  }

  get #required(): bigint {
    return this.#options.required ?? REQUIRED_DEFAULT;
  }

  #fail(error: IsthmusError, write: readonly Buffer[] = []): HandshakeStep {
    this.#state = { kind: "failed", error };
    return { write, error };
  }
}
