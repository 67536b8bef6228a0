import { randomInt } from "node:crypto";
import { type Answer, type DecodedPacket, decode, encode, RECURSION_DESIRED } from "dns-packet";
import { canonicalAddress } from "../node-names.ts";
import { isDomainName, sameName, withoutFinalDot } from "./domain-name.ts";
import type { DnsRecord, DnsRecordType } from "./resolver.ts";

/** A query in its wire form, and what an answer to it must carry. */
export interface QueryMessage {
  readonly id: number;
  readonly name: string;
  readonly type: DnsRecordType;
  readonly bytes: Buffer;
}

/** What a server's message says. */
export type ReplyMessage =
  /** It is no answer to the query: forged, late, or garbage. */
  | { readonly kind: "foreign" }
  /** It did not fit; TCP has the whole. */
  | { readonly kind: "truncated" }
  /** The server does not answer: `SERVFAIL`, `REFUSED`, ... */
  | { readonly kind: "error"; readonly rcode: string }
  /** It names other servers: this one does not resolve for us. */
  | { readonly kind: "referral" }
  /** The aliases in it go round in a circle, or on for too long. */
  | { readonly kind: "alias_loop" }
  /** The name is another name for `target`, about which it says nothing. */
  | { readonly kind: "alias"; readonly target: string; readonly ttl: number; readonly hops: number }
  | { readonly kind: "found"; readonly records: readonly DnsRecord[]; readonly ttl: number }
  | { readonly kind: "nodata" | "nxdomain"; readonly ttl: number | undefined };

const HEADER_BYTES = 12;
/** Aliases that are followed for one question. */
export const MAX_ALIASES = 16;
/** More of a TTL than a week means nothing to us (RFC 8767 section 4). */
const MAX_TTL_SECONDS = 604_800;
/** First byte of a pointer to a name, and how far into a message it can point. */
const POINTER = 0xc0;
const POINTER_RANGE = 0x4000;
/** Pointers in a row, one to the next. */
const MAX_POINTERS = 16;
const RESPONSE = 0x8000;
const TRUNCATED = 0x0200;

/** Writes a query with a random id. `ednsSize` 0 leaves EDNS out. */
export function queryMessage(name: string, type: DnsRecordType, ednsSize: number): QueryMessage {
  const id = randomInt(0x1_0000);
  const bytes = encode({
    type: "query",
    id,
    flags: RECURSION_DESIRED,
    questions: [{ name: withoutFinalDot(name), type, class: "IN" }],
    additionals: ednsSize === 0 ? [] : [edns(ednsSize)],
  });
  return { id, name, type, bytes };
}

function edns(udpPayloadSize: number): Answer {
  return {
    type: "OPT",
    name: ".",
    udpPayloadSize,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  };
}

/** Reads what came as an answer to `query`. Whatever the bytes are, it does not throw. */
export function readReply(query: QueryMessage, bytes: Buffer): ReplyMessage {
  if (bytes.length < HEADER_BYTES || bytes.readUInt16BE(0) !== query.id) return { kind: "foreign" };
  const flags = bytes.readUInt16BE(2);
  if ((flags & RESPONSE) === 0) return { kind: "foreign" };
  const head = tryDecode(withoutRecords(bytes));
  if (head === undefined || !answersQuestion(query, head)) return { kind: "foreign" };
  const rcode = rcodeOf(head);
  if (rcode !== "NOERROR" && rcode !== "NXDOMAIN") return { kind: "error", rcode };
  // what is left of a message that was cut may end inside a record
  if ((flags & TRUNCATED) !== 0) return { kind: "truncated" };
  const packet = isTangled(bytes) ? undefined : tryDecode(bytes);
  return packet === undefined ? { kind: "foreign" } : readAnswers(query, packet, rcode);
}

/** The header and the question alone. */
function withoutRecords(bytes: Buffer): Buffer {
  const head = Buffer.from(bytes);
  head.fill(0, 6, HEADER_BYTES);
  return head;
}

function tryDecode(bytes: Buffer): DecodedPacket | undefined {
  try {
    const packet = decode(bytes);
    // addresses are read beyond the end without an error
    return decode.bytes <= bytes.length ? packet : undefined;
  } catch {
    // whatever it is, it is not an answer; who waits goes on waiting
    return undefined;
  }
}

/**
 * Whether pointers (RFC 1035 section 4.1.4) point to pointers many times in a row. No server writes that, and a
 * message full of names that lead through thousands of them takes a second to read. Other data may look like a pointer,
 * but not so often in a row.
 */
function isTangled(bytes: Buffer): boolean {
  const length = Math.min(bytes.length - 1, POINTER_RANGE);
  const depths = new Uint8Array(length);
  for (let at = HEADER_BYTES; at < length; at++) {
    if (bytes[at]! < POINTER) continue;
    const target = bytes.readUInt16BE(at) - (POINTER << 8);
    if (target >= at) continue;
    depths[at] = depths[target]! + 1;
    if (depths[at]! > MAX_POINTERS) return true;
  }
  return false;
}

function rcodeOf(packet: DecodedPacket): string {
  return (packet as DecodedPacket & { readonly rcode: string }).rcode;
}

function answersQuestion(query: QueryMessage, packet: DecodedPacket): boolean {
  const { questions = [] } = packet;
  const [question] = questions;
  // a server that cannot read the query may leave the question out
  if (question === undefined) return ["FORMERR", "NOTIMP", "SERVFAIL", "REFUSED"].includes(rcodeOf(packet));
  return (
    questions.length === 1 &&
    question.type === query.type &&
    question.class === "IN" &&
    sameName(question.name, query.name)
  );
}

function readAnswers(
  query: QueryMessage,
  packet: DecodedPacket,
  rcode: "NOERROR" | "NXDOMAIN",
): ReplyMessage {
  const { answers = [], authorities = [] } = packet;
  let owner = query.name;
  let ttl = MAX_TTL_SECONDS;
  for (let hops = 0; ; hops++) {
    const own = answers.filter((answer) => sameName(answer.name, owner));
    const wanted = own.flatMap((answer) => recordOf(answer, query.type));
    if (wanted.length > 0) {
      const records = wanted.map(({ record }) => record);
      return { kind: "found", records, ttl: Math.min(ttl, ...wanted.map((one) => one.ttl)) };
    }
    const alias = own.find((answer) => answer.type === "CNAME");
    if (alias?.type === "CNAME") {
      if (hops === MAX_ALIASES || !isDomainName(alias.data)) return { kind: "alias_loop" };
      ttl = Math.min(ttl, ttlOf(alias));
      owner = alias.data;
      continue;
    }
    return withoutAnswer(authorities, rcode, ttl, hops, owner);
  }
}

/** What a message means that has no records of the wanted type for the name where its aliases end. */
function withoutAnswer(
  authorities: readonly Answer[],
  rcode: "NOERROR" | "NXDOMAIN",
  ttl: number,
  hops: number,
  owner: string,
): ReplyMessage {
  const soa = authorities.find((answer) => answer.type === "SOA");
  const negativeTtl =
    soa?.type === "SOA" ? Math.min(ttl, ttlOf(soa), soa.data.minimum ?? MAX_TTL_SECONDS) : undefined;
  if (rcode === "NXDOMAIN") return { kind: "nxdomain", ttl: negativeTtl };
  if (soa !== undefined) return { kind: "nodata", ttl: negativeTtl };
  if (hops > 0) return { kind: "alias", target: owner, ttl, hops };
  const referral = authorities.some((answer) => answer.type === "NS");
  return referral ? { kind: "referral" } : { kind: "nodata", ttl: undefined };
}

function recordOf(answer: Answer, type: DnsRecordType): { record: DnsRecord; ttl: number }[] {
  if (answer.type !== type || answer.class !== "IN") return [];
  const ttl = ttlOf(answer);
  if (answer.type === "A" || answer.type === "AAAA") {
    return [{ record: { type: answer.type, address: canonicalAddress(answer.data) }, ttl }];
  }
  if (answer.type !== "SRV") return [];
  const { target, port, priority = 0, weight = 0 } = answer.data;
  // "." says that the service is decidedly not available (RFC 2782)
  if (!isDomainName(target)) return [];
  return [{ record: { type: "SRV", target: withoutFinalDot(target), port, priority, weight }, ttl }];
}

function ttlOf(answer: Answer): number {
  const ttl = "ttl" in answer ? (answer.ttl ?? 0) : 0;
  // the highest bit set means 0 (RFC 2181 section 8)
  return ttl > 0x7fff_ffff ? 0 : Math.min(ttl, MAX_TTL_SECONDS);
}
