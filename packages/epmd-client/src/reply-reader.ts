import { epmdError } from "./errors.ts";
import type { EpmdNodeInfo } from "./node-info.ts";
import {
  type Alive2Reply,
  decodeAlive2Reply,
  decodeDumpReply,
  decodeKillReply,
  decodeNamesReply,
  decodePort2Reply,
  decodeStopReply,
  type EpmdDump,
  type EpmdNames,
} from "./replies.ts";

/** Default of `maxReplyBytes`: some ten thousand names of usual length. */
export const DEFAULT_MAX_REPLY_BYTES = 1024 * 1024;

/** How one kind of reply is cut out of the stream: replies have no length prefix. */
export interface ReplyFormat<T> {
  /** Bytes the reply has at least, judged by its first bytes; `Infinity` when it lasts until epmd closes. */
  need(start: Buffer): number;
  /** Called once, with the whole reply. */
  decode(reply: Buffer): T;
}

/** ALIVE2: 4 or 6 bytes, by its tag. The connection stays open. */
export const alive2Format: ReplyFormat<Alive2Reply> = {
  need: (start) => (start[0] === 118 ? 6 : start[0] === 121 ? 4 : 1),
  decode: decodeAlive2Reply,
};

/** PORT2: two bytes when the name is unknown, else as long as the name and extra inside say. */
export const port2Format: ReplyFormat<EpmdNodeInfo | undefined> = {
  need(start) {
    if (start[0] !== 119) return 1;
    if (start.length < 2) return 2;
    if (start[1] !== 0) return 2;
    if (start.length < 12) return 12;
    const extraAt = 12 + start.readUInt16BE(10);
    return start.length < extraAt + 2 ? extraAt + 2 : extraAt + 2 + start.readUInt16BE(extraAt);
  },
  decode: decodePort2Reply,
};

const untilClosed = (): number => Infinity;
/** The answer to NAMES_REQ. */
export const namesFormat: ReplyFormat<EpmdNames> = { need: untilClosed, decode: decodeNamesReply };
/** The answer to DUMP_REQ. */
export const dumpFormat: ReplyFormat<EpmdDump> = { need: untilClosed, decode: decodeDumpReply };
/** The answer to KILL_REQ. */
export const killFormat: ReplyFormat<boolean> = { need: () => 2, decode: decodeKillReply };
/** The answer to STOP_REQ. */
export const stopFormat: ReplyFormat<boolean> = { need: untilClosed, decode: decodeStopReply };

/**
 * Gathers one reply from chunks of any size. Pure: `push` what arrives, call `end` when epmd has closed. Work is
 * linear in the bytes received, however they are cut.
 */
export class ReplyReader<T> {
  readonly #format: ReplyFormat<T>;
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #length = 0;
  #need = 1;
  #trailing = 0;

  constructor(format: ReplyFormat<T>, maxBytes = DEFAULT_MAX_REPLY_BYTES) {
    this.#format = format;
    this.#maxBytes = maxBytes;
  }

  /** Bytes of the last chunk that came after the reply. */
  get trailing(): number {
    return this.#trailing;
  }

  /**
   * Takes the next bytes; returns the reply in an object as soon as it is complete.
   * @throws IsthmusError `EPMD_REPLY_MALFORMED`, `EPMD_REPLY_TOO_LARGE`
   */
  push(chunk: Buffer): { readonly reply: T } | undefined {
    if (chunk.length === 0) return undefined;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    while (this.#length >= this.#need) {
      const bytes = this.#join();
      const need = this.#format.need(bytes);
      if (need <= bytes.length) {
        this.#trailing = bytes.length - need;
        return { reply: this.#format.decode(bytes.subarray(0, need)) };
      }
      this.#need = need;
    }
    if (this.#length > this.#maxBytes || (this.#need > this.#maxBytes && this.#need !== Infinity)) {
      throw epmdError(
        "EPMD_REPLY_TOO_LARGE",
        `The answer is longer than ${this.#maxBytes} bytes. Raise maxReplyBytes if epmd knows so many nodes.`,
        { context: { limit: this.#maxBytes } },
      );
    }
    return undefined;
  }

  /**
   * epmd has closed: returns a reply that lasts until then.
   * @throws IsthmusError `EPMD_NO_REPLY`, `EPMD_REPLY_MALFORMED`
   */
  end(): { readonly reply: T } {
    if (this.#length === 0) {
      throw epmdError(
        "EPMD_NO_REPLY",
        "epmd closed the connection without an answer. It does so for commands that only local peers may give, or only with -relaxed_command_check; otherwise check that the port is epmd's.",
      );
    }
    return { reply: this.#format.decode(this.#join()) };
  }

  #join(): Buffer {
    const bytes = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#length);
    this.#chunks = [bytes];
    return bytes;
  }
}
