import { epmdError } from "./errors.ts";
import { decodeNodeType, type EpmdNodeInfo } from "./node-info.ts";

const ALIVE2_RESP = 121;
const ALIVE2_X_RESP = 118;
const PORT2_RESP = 119;

/** What epmd answers to a refused registration instead of a creation. */
const REFUSED_CREATION = 99;

/** From this highest version on, a node is answered with a creation of 32 bits. */
const BIG_CREATION_VERSION = 6;

/** A node in the server's registry, as its replies need it. */
export interface ReplyNode {
  readonly name: Buffer;
  readonly port: number;
  readonly nodeType: number;
  readonly protocol: number;
  readonly highVersion: number;
  readonly lowVersion: number;
  readonly extra: Buffer;
}

/** Answer to ALIVE2: the creation, or why there is none. */
export type Alive2Reply =
  | { readonly ok: true; readonly creation: number }
  /** `result` is what epmd gave as its reason; it only ever gives 1. */
  | { readonly ok: false; readonly result: number };

/** Answer to NAMES. */
export interface EpmdNames {
  readonly epmdPort: number;
  /** The newest first. */
  readonly nodes: { readonly name: string; readonly port: number }[];
}

/** One line of the answer to DUMP. */
export interface EpmdDumpEntry {
  readonly name: string;
  readonly port: number;
  /** epmd's file descriptor; a connection number in our server. */
  readonly fd: number;
  /** False for a name that was registered once and whose creation counter is remembered. */
  readonly active: boolean;
}

/** Answer to DUMP. */
export interface EpmdDump {
  readonly epmdPort: number;
  /** Registered nodes, the newest first, then names no longer in use, the oldest first. */
  readonly entries: EpmdDumpEntry[];
}

/**
 * Answer to ALIVE2. The client's highest version decides on its form, not the server's.
 * @param creation 32 bits, or `undefined` when the registration is refused
 */
export function encodeAlive2Reply(highVersion: number, creation: number | undefined): Buffer {
  const result = creation === undefined ? 1 : 0;
  if (highVersion >= BIG_CREATION_VERSION) {
    const reply = Buffer.of(ALIVE2_X_RESP, result, 0, 0, 0, 0);
    reply.writeUInt32BE(creation ?? REFUSED_CREATION, 2);
    return reply;
  }
  return Buffer.of(
    ALIVE2_RESP,
    result,
    0,
    creation === undefined ? REFUSED_CREATION : foldCreation(creation),
  );
}

/** A creation as nodes before distribution version 6 take it, 1 to 3. */
export function foldCreation(creation: number): number {
  return (creation % 3) + 1;
}

/** Answer to PORT2; `undefined` when no such node is registered. */
export function encodePort2Reply(node: ReplyNode | undefined): Buffer {
  if (node === undefined) return Buffer.of(PORT2_RESP, 1);
  const reply = Buffer.alloc(14 + node.name.length + node.extra.length);
  reply[0] = PORT2_RESP;
  reply.writeUInt16BE(node.port, 2);
  reply[4] = node.nodeType;
  reply[5] = node.protocol;
  reply.writeUInt16BE(node.highVersion, 6);
  reply.writeUInt16BE(node.lowVersion, 8);
  reply.writeUInt16BE(node.name.length, 10);
  reply.set(node.name, 12);
  reply.writeUInt16BE(node.extra.length, 12 + node.name.length);
  reply.set(node.extra, 14 + node.name.length);
  return reply;
}

/** Answer to NAMES; `nodes` newest first. */
export function encodeNamesReply(
  epmdPort: number,
  nodes: Iterable<Pick<ReplyNode, "name" | "port">>,
): Buffer {
  const parts = [uint32(epmdPort)];
  for (const node of nodes)
    parts.push(Buffer.from("name "), node.name, Buffer.from(` at port ${node.port}\n`));
  return Buffer.concat(parts);
}

type DumpNode = Pick<ReplyNode, "name" | "port"> & { readonly fd: number };

/** Answer to DUMP; every line ends with a newline and a NUL. */
export function encodeDumpReply(
  epmdPort: number,
  active: Iterable<DumpNode>,
  unused: Iterable<DumpNode>,
): Buffer {
  const parts = [uint32(epmdPort)];
  for (const { name, port, fd } of active) {
    parts.push(Buffer.from("active name     <"), name, Buffer.from(`> at port ${port}, fd = ${fd}\n\0`));
  }
  for (const { name, port, fd } of unused) {
    parts.push(Buffer.from("old/unused name <"), name, Buffer.from(`>, port = ${port}, fd = ${fd} \n\0`));
  }
  return Buffer.concat(parts);
}

/** Answer to KILL. */
export function encodeKillReply(accepted: boolean): Buffer {
  return Buffer.from(accepted ? "OK" : "NO");
}

/** Answer to STOP. epmd says both words when it does not know the name; so do we. */
export function encodeStopReply(found: boolean): Buffer {
  return Buffer.from(found ? "STOPPED" : "NOEXISTSTOPPED");
}

/** @throws IsthmusError `EPMD_REPLY_MALFORMED` */
export function decodeAlive2Reply(reply: Buffer): Alive2Reply {
  const big = reply[0] === ALIVE2_X_RESP;
  if ((!big && reply[0] !== ALIVE2_RESP) || reply.length !== (big ? 6 : 4)) throw malformed("ALIVE2", reply);
  const result = reply[1]!;
  if (result !== 0) return { ok: false, result };
  return { ok: true, creation: big ? reply.readUInt32BE(2) : reply.readUInt16BE(2) };
}

/**
 * Copies what it returns. A reply that ends after the name is taken, with an empty extra, as a BEAM takes it.
 * @throws IsthmusError `EPMD_REPLY_MALFORMED`
 */
export function decodePort2Reply(reply: Buffer): EpmdNodeInfo | undefined {
  if (reply[0] !== PORT2_RESP || reply.length < 2) throw malformed("PORT2", reply);
  if (reply[1] !== 0) return undefined;
  const nameLength = reply.length < 12 ? Infinity : reply.readUInt16BE(10);
  const extraAt = 12 + nameLength;
  const extraLength = reply.length < extraAt + 2 ? 0 : reply.readUInt16BE(extraAt);
  const end = reply.length === extraAt ? extraAt : extraAt + 2 + extraLength;
  if (reply.length !== end) throw malformed("PORT2", reply);
  return {
    name: reply.toString("utf8", 12, extraAt),
    port: reply.readUInt16BE(2),
    nodeType: decodeNodeType(reply[4]!),
    protocol: reply[5]!,
    highVersion: reply.readUInt16BE(6),
    lowVersion: reply.readUInt16BE(8),
    extra: Buffer.from(reply.subarray(extraAt + 2)),
  };
}

const NAMES_LINE = /^name (.*) at port (\d{1,5})$/su;
const DUMP_LINE =
  /^(active name {5}|old\/unused name )<(.*)>(?: at port |, port = )(\d{1,5}), fd = (-?\d+) ?\n$/su;

/**
 * A line that epmd would not write is left out: a node may have put a newline in its name.
 * @throws IsthmusError `EPMD_REPLY_MALFORMED`, also when the last line is cut off
 */
export function decodeNamesReply(reply: Buffer): EpmdNames {
  const nodes: { name: string; port: number }[] = [];
  for (const line of lines("NAMES", reply, "\n")) {
    const match = NAMES_LINE.exec(line);
    if (match) nodes.push({ name: match[1]!, port: Number(match[2]) });
  }
  return { epmdPort: reply.readUInt32BE(0), nodes };
}

/** As {@link decodeNamesReply}. @throws IsthmusError `EPMD_REPLY_MALFORMED` */
export function decodeDumpReply(reply: Buffer): EpmdDump {
  const entries: EpmdDumpEntry[] = [];
  for (const line of lines("DUMP", reply, "\0")) {
    const match = DUMP_LINE.exec(line);
    if (!match) continue;
    entries.push({
      name: match[2]!,
      port: Number(match[3]),
      fd: Number(match[4]),
      active: match[1]!.startsWith("active"),
    });
  }
  return { epmdPort: reply.readUInt32BE(0), entries };
}

/** True when epmd ends, false when it refuses. @throws IsthmusError `EPMD_REPLY_MALFORMED` */
export function decodeKillReply(reply: Buffer): boolean {
  const text = reply.toString("latin1");
  if (text !== "OK" && text !== "NO") throw malformed("KILL", reply);
  return text === "OK";
}

/** True when the name was registered, false when epmd did not know it. @throws IsthmusError `EPMD_REPLY_MALFORMED` */
export function decodeStopReply(reply: Buffer): boolean {
  const text = reply.toString("latin1");
  if (text !== "STOPPED" && text !== "NOEXISTSTOPPED" && text !== "NOEXIST") throw malformed("STOP", reply);
  return text === "STOPPED";
}

/**
 * The text after the port number, cut at `end`. A rest without `end` means that the connection broke, a number that
 * is no port that something else than epmd answered: neither may look like a list, let alone an empty one.
 */
function lines(request: string, reply: Buffer, end: string): string[] {
  if (reply.length < 4 || reply.readUInt32BE(0) > 65535) throw malformed(request, reply);
  const found = reply.toString("utf8", 4).split(end);
  if (found.pop() !== "") throw malformed(request, reply);
  return found;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value, 0);
  return bytes;
}

function malformed(request: string, reply: Buffer): Error {
  const start = reply.subarray(0, 32).toString("hex");
  return epmdError(
    "EPMD_REPLY_MALFORMED",
    `The answer to ${request} is not epmd's (${reply.length} bytes, from ${start || "nothing"}). Check that the port is epmd's.`,
    { context: { request, length: reply.length, start } },
  );
}
