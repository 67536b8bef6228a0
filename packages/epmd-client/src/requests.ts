import { epmdError } from "./errors.ts";
import { encodeName, MAX_NAME_BYTES } from "./names.ts";
import { checkInteger, type EpmdNodeType, encodeNodeType } from "./node-info.ts";

/** Longest body of a request; epmd closes the connection on a longer one. */
export const MAX_REQUEST_BYTES = 3057;

const ALIVE2 = 120;
const PORT2 = 122;
const NAMES = 110;
const DUMP = 100;
const KILL = 107;
const STOP = 115;

/** Bytes of an ALIVE2 body besides name and extra, and where its name starts. */
const ALIVE2_FIXED = 13;
const ALIVE2_NAME = 11;

/** What a node tells epmd about itself. */
export interface Alive2Fields {
  readonly name: string;
  readonly port: number;
  /** Default "hidden". */
  readonly nodeType?: EpmdNodeType;
  /** Default 0, TCP. */
  readonly protocol?: number;
  /** Default 6. Below 6 epmd answers with a creation of 1 to 3. */
  readonly highVersion?: number;
  /** Default 5. */
  readonly lowVersion?: number;
  /** At most 1020 bytes; default none. */
  readonly extra?: Uint8Array;
}

/** A request as the server sees it. Buffers are views into the request: copy what is kept. */
export type EpmdRequest =
  | {
      readonly type: "alive2";
      /** Not checked but for NULs: whether it can be registered is the registry's decision. */
      readonly name: Buffer;
      readonly port: number;
      readonly nodeType: number;
      readonly protocol: number;
      readonly highVersion: number;
      readonly lowVersion: number;
      readonly extra: Buffer;
    }
  | { readonly type: "port2" | "stop"; readonly name: Buffer }
  | { readonly type: "names" | "dump" | "kill" };

/**
 * ALIVE2: register this node, for as long as the connection lives.
 * @throws IsthmusError `EPMD_NAME_INVALID`, `EPMD_OPTIONS_INVALID`
 */
export function encodeAlive2Request(fields: Alive2Fields): Buffer {
  const name = encodeName(fields.name);
  const extra = fields.extra ?? new Uint8Array(0);
  checkInteger("The length of extra", extra.length, 0, MAX_NAME_BYTES);
  const body = Buffer.alloc(ALIVE2_FIXED + name.length + extra.length);
  body[0] = ALIVE2;
  body.writeUInt16BE(checkInteger("port", fields.port, 1, 65535), 1);
  body[3] = encodeNodeType(fields.nodeType ?? "hidden");
  body[4] = checkInteger("protocol", fields.protocol ?? 0, 0, 255);
  body.writeUInt16BE(checkInteger("highVersion", fields.highVersion ?? 6, 0, 65535), 5);
  body.writeUInt16BE(checkInteger("lowVersion", fields.lowVersion ?? 5, 0, 65535), 7);
  body.writeUInt16BE(name.length, 9);
  body.set(name, ALIVE2_NAME);
  body.writeUInt16BE(extra.length, ALIVE2_NAME + name.length);
  body.set(extra, ALIVE2_FIXED + name.length);
  return frame(body);
}

/** PORT2: where does the node of this name listen? */
export function encodePort2Request(name: string): Buffer {
  return frame(Buffer.concat([Buffer.of(PORT2), encodeName(name)]));
}

/** NAMES: every registered name with its port. */
export function encodeNamesRequest(): Buffer {
  return frame(Buffer.of(NAMES));
}

/** DUMP: as NAMES, with names no longer in use. Only for local peers. */
export function encodeDumpRequest(): Buffer {
  return frame(Buffer.of(DUMP));
}

/** KILL: end epmd. Only for local peers, and refused while nodes are registered unless epmd is relaxed. */
export function encodeKillRequest(): Buffer {
  return frame(Buffer.of(KILL));
}

/** STOP: unregister a name. Only for local peers of a relaxed epmd. */
export function encodeStopRequest(name: string): Buffer {
  return frame(Buffer.concat([Buffer.of(STOP), encodeName(name)]));
}

/**
 * Reads the body of a request, that is, without its length prefix. Judges the layout only, as epmd's `do_request`
 * does; bytes after the last field of ALIVE2 are ignored.
 * @throws IsthmusError `EPMD_REQUEST_MALFORMED`
 */
export function decodeRequest(body: Buffer): EpmdRequest {
  switch (body[0]) {
    case ALIVE2:
      return decodeAlive2(body);
    case PORT2: {
      const end = body[body.length - 1] === 0 ? body.length - 1 : body.length;
      const name = body.subarray(1, end);
      if (end <= 1) throw malformed("a PORT2 request without a name");
      if (name.includes(0)) throw malformed("a PORT2 request with a NUL inside its name");
      return { type: "port2", name };
    }
    case STOP: {
      if (body.length <= 1) throw malformed("a STOP request without a name");
      // epmd takes the name as a C string: up to the first NUL, and possibly empty.
      const nul = body.indexOf(0, 1);
      return { type: "stop", name: body.subarray(1, nul < 0 ? body.length : nul) };
    }
    case NAMES:
      return { type: "names" };
    case DUMP:
      return { type: "dump" };
    case KILL:
      return { type: "kill" };
    default:
      throw malformed(body.length === 0 ? "an empty request" : `the unknown request ${body[0]}`);
  }
}

function decodeAlive2(body: Buffer): EpmdRequest {
  if (body.length <= ALIVE2_FIXED) throw malformed("an ALIVE2 request that is too short");
  const nameLength = body.readUInt16BE(9);
  if (ALIVE2_FIXED + nameLength > body.length) throw malformed("an ALIVE2 request whose name is cut off");
  const extraLength = body.readUInt16BE(ALIVE2_NAME + nameLength);
  const extraStart = ALIVE2_FIXED + nameLength;
  if (extraStart + extraLength > body.length) throw malformed("an ALIVE2 request whose extra is cut off");
  const name = body.subarray(ALIVE2_NAME, ALIVE2_NAME + nameLength);
  if (name.includes(0)) throw malformed("an ALIVE2 request with a NUL in its name");
  return {
    type: "alive2",
    name,
    port: body.readUInt16BE(1),
    nodeType: body[3]!,
    protocol: body[4]!,
    highVersion: body.readUInt16BE(5),
    lowVersion: body.readUInt16BE(7),
    extra: body.subarray(extraStart, extraStart + extraLength),
  };
}

function frame(body: Buffer): Buffer {
  const framed = Buffer.allocUnsafe(2 + body.length);
  framed.writeUInt16BE(body.length, 0);
  framed.set(body, 2);
  return framed;
}

function malformed(what: string): Error {
  return epmdError(
    "EPMD_REQUEST_MALFORMED",
    `The peer sent ${what}; the connection is closed without an answer.`,
  );
}
