import { FLAG, missingMandatory } from "@isthmus/dist-handshake";
import { type IsthmusError, isIsthmusError } from "@isthmus/wire";
import { bridgeError } from "../errors.ts";
import {
  bytesField,
  countField,
  decodeSingle,
  encodeMessage,
  type Frame,
  malformed,
  textField,
} from "../trunk/codec.ts";
import type { ClusterPair } from "./pair.ts";

/**
 * What two bridges say to each other before the bytes of the distribution protocol, each a payload of its own, in
 * MessagePack: first a hello, then whether the other's hello is accepted.
 */
const GREETING = {
  /** `[kind, major, minor, map]`. */
  HELLO: 1,
  /** `[kind]`. */
  ACCEPT: 2,
  /** `[kind, code, text]`. May also come in place of a hello. */
  REFUSE: 3,
} as const;

/** Another major number is another language; a higher minor one only adds to it. */
const MAJOR = 1;
const MINOR = 0;
/** Most that is sent, or kept, of the words of a refusal. */
const MAX_CHARS = 300;

/** A bridge's node, as the other bridge hears of it. */
export interface Introduced {
  readonly creation: number;
  /** What it can do, as in the handshake of the distribution protocol. */
  readonly flags: bigint;
}

/** The first payload of a channel. */
export function encodeHello(pair: ClusterPair, { creation, flags }: Introduced): Buffer {
  const word = Buffer.alloc(8);
  word.writeBigUInt64BE(flags);
  const map = { node: pair.node, peer: pair.peer, creation, flags: word };
  return encodeMessage(GREETING.HELLO, MAJOR, MINOR, map);
}

/**
 * What the other bridge's hello says.
 * @throws IsthmusError `FAR_CLUSTER_VERSION`, `TRUNK_PROTOCOL`, or the code with which the other bridge refuses us
 */
export function decodeHello(message: Buffer, pair: ClusterPair): Introduced {
  const frame = decodeSingle(message);
  if (frame[0] === GREETING.REFUSE) throw refusal(frame);
  if (frame[0] !== GREETING.HELLO) throw malformed("a channel does not begin with a hello");
  const major = countField(frame, 1);
  if (major !== MAJOR) {
    throw bridgeError(
      "FAR_CLUSTER_VERSION",
      `The bridge of site ${pair.site} speaks version ${major} of the protocol between bridges, and we speak ${MAJOR}. Upgrade the older one.`,
      { context: { site: pair.site, major } },
    );
  }
  const map = frame[3];
  if (typeof map !== "object" || map === null) throw malformed("a hello has nothing in it");
  const { node, peer, creation, flags } = map as Readonly<Record<string, unknown>>;
  if (node !== pair.peer || peer !== pair.node) throw malformed("a hello is of other nodes");
  if (!Number.isInteger(creation) || !((creation as number) > 0 && (creation as number) < 2 ** 32))
    throw malformed("a hello has no creation");
  const word = bytesField([0, flags], 1, 8).readBigUInt64BE();
  if ((word & FLAG.BRIDGE) === 0n || missingMandatory(word).length > 0)
    throw malformed("a hello is not that of a bridge");
  return { creation: creation as number, flags: word };
}

/** The second payload when the hello was right. */
export function encodeAccept(): Buffer {
  return encodeMessage(GREETING.ACCEPT);
}

/** The last payload when it was not. */
export function encodeRefuse(reason: IsthmusError): Buffer {
  return encodeMessage(GREETING.REFUSE, reason.code, reason.message.slice(0, MAX_CHARS));
}

/** @throws IsthmusError the code with which the other bridge refuses us, `TRUNK_PROTOCOL` */
export function decodeVerdict(message: Buffer): void {
  const frame = decodeSingle(message);
  if (frame[0] === GREETING.REFUSE) throw refusal(frame);
  if (frame[0] !== GREETING.ACCEPT) throw malformed("a hello was not answered");
}

/** Whether a payload refuses something; also for what is malformed. */
export function isRefusal(message: Buffer): boolean {
  try {
    return decodeSingle(message)[0] === GREETING.REFUSE;
  } catch (error) {
    if (isIsthmusError(error)) return false;
    throw error;
  }
}

function refusal(frame: Frame): IsthmusError {
  const told = textField(frame, 1);
  const text = textField(frame, 2).slice(0, MAX_CHARS);
  const words = /[\p{Cc}\p{Cs}]/u.test(text) ? "something unreadable" : text;
  const code = told === "FAR_CLUSTER_VERSION" ? told : "FAR_CLUSTER_REFUSED";
  return bridgeError(code, `The bridge of the other site refused: ${words}`);
}
