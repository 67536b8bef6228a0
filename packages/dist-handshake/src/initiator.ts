import { type IsthmusError, isNodeName, parseNodeName } from "@isthmus/wire";
import { digest, matchingCookie } from "./digest.ts";
import { handshakeError } from "./errors.ts";
import { expandFlags, FLAG, missingMandatory, REQUIRED_DEFAULT } from "./flags.ts";
import {
  caught,
  checkLocalSide,
  cookieRejected,
  cookiesFor,
  type HandshakeStep,
  howClosed,
  type LocalSide,
  makeOutcome,
  missingFlags,
  optionsInvalid,
  outOfOrder,
} from "./handshake.ts";
import {
  type AcceptorMessage,
  type AckMessage,
  type ChallengeMessage,
  decodeFromAcceptor,
  encodeComplement,
  encodeName,
  encodeOldName,
  encodeReply,
  encodeStatus,
  malformed,
  type NamedMessage,
  type StatusMessage,
} from "./messages.ts";
import { type InitiatorState, targets } from "./states.ts";

/** Options of {@link InitiatorHandshake}. */
export interface InitiatorOptions {
  readonly local: LocalSide;
  /** Full name of the node that is wanted; another one at the other end is an error. */
  readonly peer: string;
  /** A fresh 32-bit number each time, unpredictable. */
  readonly random: () => number;
  /**
   * The peer's `highvsn` at epmd. 5 or less: the old name message is sent, which OTP 23 understands and 25.0 to 25.2
   * do not. Default 6.
   */
  readonly epmdHighVersion?: number;
  /** Flags that the peer must have. Default {@link REQUIRED_DEFAULT}. */
  readonly required?: bigint;
  /**
   * The peer believes that a connection of our name is up. True (the default): go on, this attempt replaces it.
   * Close the old socket before, since OTP 23 waits for its end.
   */
  readonly onAlive?: () => boolean;
}

/** The dialling side of a handshake, without I/O (protocol section 2; OTP `dist_util:handshake_we_started`). */
export class InitiatorHandshake {
  readonly #options: InitiatorOptions;
  readonly #old: boolean;
  readonly #dynamic: boolean;
  #state: InitiatorState = { kind: "idle" };

  /** @throws IsthmusError `HANDSHAKE_OPTIONS_INVALID`, `NODE_NAME_INVALID` */
  constructor(options: InitiatorOptions) {
    checkLocalSide(options.local);
    parseNodeName(options.peer);
    this.#options = options;
    this.#old = (options.epmdHighVersion ?? 6) <= 5;
    this.#dynamic = (options.local.flags & FLAG.NAME_ME) !== 0n;
    if (this.#old && this.#dynamic) throw optionsInvalid("a name can be asked for in the new form only");
  }

  get state(): InitiatorState {
    return this.#state;
  }

  /** The first bytes. @throws IsthmusError `HANDSHAKE_OUT_OF_ORDER` */
  start(): HandshakeStep {
    if (this.#state.kind !== "idle") throw outOfOrder("The handshake was started before");
    const { name, flags, creation } = this.#options.local;
    this.#state = { kind: "awaiting_status" };
    return {
      write: [this.#old ? encodeOldName(flags, name) : encodeName(flags, this.#dynamic ? 0 : creation, name)],
    };
  }

  /**
   * Takes one frame. What the peer does wrong is in the step's `error`; the frame is not kept.
   * @throws IsthmusError `HANDSHAKE_OUT_OF_ORDER` before the start or after the end
   */
  receive(frame: Buffer): HandshakeStep {
    const { kind } = this.#state;
    if (kind === "idle" || kind === "done" || kind === "failed") {
      throw outOfOrder(`A frame was given to a handshake that is ${kind}`);
    }
    try {
      const message = decodeFromAcceptor(frame);
      if (targets("initiator", kind, message.kind) === undefined) {
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
    const { peer, local } = this.#options;
    if (this.#state.kind === "awaiting_ack") {
      return this.#fail(cookieRejected(peer, `${peer} ${howClosed(cause)} after our digest`, cause));
    }
    const why =
      this.#state.kind === "awaiting_status"
        ? this.#old
          ? "it may not understand the old name message (OTP 25.0 to 25.2)"
          : "it may be busy with another attempt of ours, may want TLS, or is no Erlang node"
        : `it may have ended the attempt of ${local.name} for another one`;
    return this.#fail(
      handshakeError("HANDSHAKE_CLOSED", `${peer} ${howClosed(cause)} during the handshake: ${why}.`, {
        cause,
        context: { peer, state: this.#state.kind },
      }),
    );
  }

  #take(message: AcceptorMessage): HandshakeStep {
    switch (message.kind) {
      case "status":
        return this.#takeStatus(message);
      case "named":
        return this.#takeName(message);
      case "challenge":
        return this.#takeChallenge(message);
      case "ack":
        return this.#takeAck(message);
    }
  }

  #takeStatus({ status }: StatusMessage): HandshakeStep {
    const { peer, local } = this.#options;
    if (status === "not_allowed") return this.#fail(this.#refused());
    if (this.#dynamic) throw malformed(`status ${status} although we asked for a name`);
    if (status === "nok") {
      return this.#fail(
        handshakeError(
          "HANDSHAKE_NOK",
          `${peer} is dialling us at the same time, and its attempt goes on. Wait for its connection.`,
          { context: { peer } },
        ),
      );
    }
    const goesOn = status !== "alive" || (this.#options.onAlive?.() ?? true);
    if (!goesOn) {
      const error = handshakeError(
        "HANDSHAKE_ALREADY_CONNECTED",
        `${peer} has a connection with ${local.name} already, which stays.`,
        { context: { peer } },
      );
      return this.#fail(error, [encodeStatus("false")]);
    }
    this.#state = {
      kind: "awaiting_challenge",
      localName: local.name,
      localCreation: local.creation,
      replacesOld: status === "alive",
    };
    return { write: status === "alive" ? [encodeStatus("true")] : [] };
  }

  #takeName({ name, creation }: NamedMessage): HandshakeStep {
    if (!this.#dynamic) throw malformed("a name for us, which we did not ask for");
    if (!isNodeName(name) || parseNodeName(name).host !== this.#options.local.name) {
      throw malformed("a name for us that is not on our host");
    }
    this.#state = {
      kind: "awaiting_challenge",
      localName: name,
      localCreation: creation,
      replacesOld: false,
    };
    return { write: [] };
  }

  #takeChallenge(message: ChallengeMessage): HandshakeStep {
    const { peer, local, random } = this.#options;
    const state = this.#state as Extract<InitiatorState, { kind: "awaiting_challenge" }>;
    if (message.name !== peer) {
      return this.#fail(
        handshakeError(
          "HANDSHAKE_NAME_MISMATCH",
          `The node that answered calls itself ${JSON.stringify(message.name)}, not ${peer}. Check the name and host, and look the port up again.`,
          { context: { peer, found: message.name } },
        ),
      );
    }
    if (message.old && (!this.#old || (message.flags & local.flags & FLAG.HANDSHAKE_23) !== 0n)) {
      throw malformed("an old challenge although it knows the new form");
    }
    const peerFlags = expandFlags(message.flags);
    const missing = missingFlags(peer, peerFlags, this.#options.required ?? REQUIRED_DEFAULT);
    if (missing !== undefined) return this.#fail(missing);
    const cookie = cookiesFor(local, peer)[0]!;
    const challenge = random() >>> 0;
    const outcome = makeOutcome(
      {
        peer,
        peerCreation: message.creation,
        peerFlags,
        localName: state.localName,
        localCreation: state.localCreation,
        replacesOld: state.replacesOld,
      },
      local.flags,
    );
    const write = [encodeReply(challenge, digest(message.challenge, cookie))];
    if (this.#old && outcome.version === 6) write.unshift(encodeComplement(local.flags, local.creation));
    this.#state = { kind: "awaiting_ack", challenge, outcome };
    return { write };
  }

  #takeAck(message: AckMessage): HandshakeStep {
    const { peer, local } = this.#options;
    const { challenge, outcome } = this.#state as Extract<InitiatorState, { kind: "awaiting_ack" }>;
    if (matchingCookie(challenge, cookiesFor(local, peer), message.digest) === undefined) {
      return this.#fail(cookieRejected(peer, `${peer} could not prove that it knows our cookie`));
    }
    this.#state = { kind: "done", outcome };
    return { write: [], outcome };
  }

  /** `not_allowed` has two meanings; our own flags tell which one is likely. */
  #refused(): IsthmusError {
    const { peer, local } = this.#options;
    const missing = missingMandatory(local.flags, 26);
    if (missing.length > 0) {
      return handshakeError(
        "HANDSHAKE_FLAGS_REJECTED",
        `${peer} refused us, most likely because we do not announce ${missing.join(", ")}, which newer releases require.`,
        { context: { peer, missing } },
      );
    }
    return handshakeError(
      "HANDSHAKE_NOT_ALLOWED",
      `${peer} does not allow connections from ${local.name}. Add this name there with net_kernel:allow/1.`,
      { context: { peer, node: local.name } },
    );
  }

  #fail(error: IsthmusError, write: readonly Buffer[] = []): HandshakeStep {
    this.#state = { kind: "failed", error };
    return { write, error };
  }
}
