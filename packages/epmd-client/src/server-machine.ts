import { isUtf8 } from "node:buffer";
import { FrameSplitter, isIsthmusError } from "@isthmus/wire";
import { type EpmdErrorCode, epmdError } from "./errors.ts";
import { countCharacters, MAX_NAME_CHARACTERS } from "./names.ts";
import type { NodeRegistry, RegisteredNode } from "./registry.ts";
import {
  encodeAlive2Reply,
  encodeDumpReply,
  encodeKillReply,
  encodeNamesReply,
  encodePort2Reply,
  encodeStopReply,
} from "./replies.ts";
import { decodeRequest, type EpmdRequest, MAX_REQUEST_BYTES } from "./requests.ts";

/** What a connection of the server needs to know. */
export interface ServerConnectionOptions {
  /** Number of the connection; the registry's `owner`, and `fd` in the answer to DUMP. */
  readonly id: number;
  readonly registry: NodeRegistry;
  /** Whether the peer is on this host, see {@link isLocalPeer}. */
  readonly local: boolean;
  readonly relaxedCommandCheck: boolean;
  /** The port that NAMES and DUMP tell. A BEAM refuses an answer that names another port than it asked. */
  readonly epmdPort: number;
}

/** What the driver has to do, in this order: send, close the other connection, then as `next` says. */
export interface ServerAction {
  readonly reply?: Buffer;
  /** The connection of a node that STOP took out. */
  readonly closeOther?: number;
  /**
   * "wait" for more bytes, within the time for a request; "hold" without any limit of time: the connection of a
   * registered node, or "refused" of one that was not; "close"; "exit": close everything, epmd was killed.
   */
  readonly next: "wait" | "hold" | "refused" | "close" | "exit";
  /** Why the connection is closed or the registration refused, for the log. */
  readonly problem?: { readonly code: EpmdErrorCode; readonly message: string };
}

/** Which peers may give which command (`epmd_srv.c`, `do_request`). */
const ALLOWED: Record<EpmdRequest["type"], "anyone" | "local" | "local and relaxed"> = {
  alive2: "local",
  port2: "anyone",
  names: "anyone",
  dump: "local",
  kill: "local",
  stop: "local and relaxed",
};

const WAIT: ServerAction = { next: "wait" };

/** One connection of an epmd server, without its socket: bytes in, {@link ServerAction} out. */
export class ServerConnection {
  readonly #options: ServerConnectionOptions;
  readonly #splitter: FrameSplitter;
  #body: Buffer | undefined;
  /** The length arrived in an earlier chunk than the end: epmd then reads no further than the request's end. */
  #lengthKnown = false;
  #received = 0;
  #state: "reading" | "answered" | "closed" = "reading";

  constructor(options: ServerConnectionOptions) {
    this.#options = options;
    this.#splitter = new FrameSplitter({
      lengthBytes: 2,
      maxFrameBytes: MAX_REQUEST_BYTES,
      onFrame: (bytes, start, end) => {
        this.#body = bytes.subarray(start, end);
        this.#splitter.stop();
      },
    });
  }

  /**
   * Takes the next received bytes; never throws.
   * @param seconds seconds since 1970, where the creations of a new name start
   */
  receive(chunk: Buffer, seconds: number): ServerAction {
    if (this.#state === "closed" || chunk.length === 0) return WAIT;
    if (this.#state === "answered") {
      // Whatever a node sends on its registration ends it.
      return this.#close(
        "EPMD_REQUEST_MALFORMED",
        "The peer sent bytes after its registration; it is dropped.",
      );
    }
    const lengthKnown = this.#lengthKnown;
    this.#received += chunk.length;
    this.#lengthKnown = this.#received >= 2;
    try {
      this.#splitter.push(chunk);
      const body = this.#body;
      if (body === undefined) return WAIT;
      const trailing = this.#received - 2 - body.length;
      if (body.length === 0) return this.#close("EPMD_REQUEST_MALFORMED", "The peer sent an empty request.");
      if (trailing > 0 && !lengthKnown) {
        return this.#close("EPMD_REQUEST_MALFORMED", `The peer sent ${trailing} bytes after its request.`);
      }
      const action = this.#answer(decodeRequest(body), seconds);
      if (action.next === "close" || action.next === "exit") this.closed();
      else this.#state = "answered";
      if (trailing > 0 && this.#state === "answered") {
        const { problem } = this.#close(
          "EPMD_REQUEST_MALFORMED",
          "The peer sent bytes after its registration.",
        );
        return { ...action, next: "close", problem: problem! };
      }
      return action;
    } catch (error) {
      if (!isIsthmusError(error)) throw error;
      const tooLarge = error.code === "FRAME_TOO_LARGE";
      return this.#close(tooLarge ? "EPMD_REQUEST_TOO_LARGE" : "EPMD_REQUEST_MALFORMED", error.message);
    }
  }

  /** The connection is gone, for whatever reason: its name is free again. */
  closed(): void {
    this.#state = "closed";
    this.#splitter.stop();
    this.#options.registry.unregister(this.#options.id);
  }

  #answer(request: EpmdRequest, seconds: number): ServerAction {
    const { registry, local, relaxedCommandCheck, epmdPort, id } = this.#options;
    const allowed = ALLOWED[request.type];
    if (allowed !== "anyone" && !local) {
      return forbidden(`The peer gave the command ${request.type} from another host.`);
    }
    if (allowed === "local and relaxed" && !relaxedCommandCheck) {
      return forbidden(`The peer gave the command ${request.type}, which needs relaxedCommandCheck.`);
    }
    switch (request.type) {
      case "alive2": {
        const result = registry.register(id, request, seconds);
        if (result.ok)
          return { reply: encodeAlive2Reply(request.highVersion, result.creation), next: "hold" };
        return {
          reply: encodeAlive2Reply(request.highVersion, undefined),
          next: "refused",
          problem: refusal(result.reason),
        };
      }
      case "port2":
        // epmd counts the terminating NUL here, so that a name of 255 characters is registered but never found.
        if (!isUtf8(request.name) || countCharacters(request.name) + 1 > MAX_NAME_CHARACTERS) {
          throw epmdError(
            "EPMD_REQUEST_MALFORMED",
            "The peer asked for a name that is too long or not UTF-8.",
          );
        }
        return { reply: encodePort2Reply(registry.find(request.name)), next: "close" };
      case "names":
        return { reply: encodeNamesReply(epmdPort, registry.active()), next: "close" };
      case "dump":
        return {
          reply: encodeDumpReply(epmdPort, registry.active().map(dumped), registry.unused().map(dumped)),
          next: "close",
        };
      case "kill": {
        const accepted = relaxedCommandCheck || registry.size === 0;
        return { reply: encodeKillReply(accepted), next: accepted ? "exit" : "close" };
      }
      case "stop": {
        const node = registry.find(request.name);
        if (node === undefined) return { reply: encodeStopReply(false), next: "close" };
        registry.unregister(node.owner);
        return { reply: encodeStopReply(true), closeOther: node.owner, next: "close" };
      }
    }
  }

  #close(code: EpmdErrorCode, message: string): ServerAction {
    this.closed();
    return { next: "close", problem: { code, message } };
  }
}

/**
 * Whether epmd takes this peer for one on its own host: a loopback address, or the very address it connected to.
 * `remote` and `local` are IP addresses as Node.js gives them.
 */
export function isLocalPeer(remote: string | undefined, local: string | undefined): boolean {
  if (remote === undefined) return false;
  const peer = plainAddress(remote);
  return peer === "::1" || peer.startsWith("127.") || (local !== undefined && peer === plainAddress(local));
}

function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

function dumped(node: RegisteredNode): { name: Buffer; port: number; fd: number } {
  return { name: node.name, port: node.port, fd: node.owner };
}

function forbidden(message: string): ServerAction {
  return { next: "close", problem: { code: "EPMD_REQUEST_FORBIDDEN", message } };
}

function refusal(reason: "taken" | "invalid" | "limit"): { code: EpmdErrorCode; message: string } {
  switch (reason) {
    case "taken":
      return { code: "EPMD_NAME_TAKEN", message: "A node asked for a name that another node holds." };
    case "invalid":
      return { code: "EPMD_NAME_INVALID", message: "A node asked for a name that is too long or not UTF-8." };
    case "limit":
      return { code: "EPMD_TOO_MANY_NAMES", message: "No more names are registered; raise maxNames." };
  }
}
