// This file is longer than most: the encoder's loop and the output it writes to are one class, because a call across
// objects for each byte would cost more than the byte.
import { etfError } from "../errors.ts";
import type { Term } from "../term.ts";
import { ATOM_FALSE, ATOM_TRUE, Atom, atomWire } from "../terms/atom.ts";
import { BitString } from "../terms/bit-string.ts";
import { ExportFun } from "../terms/export-fun.ts";
import { Float } from "../terms/float.ts";
import { Fun } from "../terms/fun.ts";
import { ImproperList } from "../terms/improper-list.ts";
import { LocalTerm } from "../terms/local-term.ts";
import { hasDuplicateKeys } from "../terms/map-keys.ts";
import { NativeRecord } from "../terms/native-record.ts";
import { Pid } from "../terms/pid.ts";
import { Port } from "../terms/port.ts";
import { Reference } from "../terms/reference.ts";
import { TermMap } from "../terms/term-map.ts";
import { Tuple } from "../terms/tuple.ts";

/** Options of {@link TermWriter}. */
export interface TermWriterOptions {
  /** Size of a slab, bytes. Default 64 KiB. */
  readonly slabBytes?: number;
  /** Containers around the innermost term (`ETF_DEPTH_LIMIT`). Default 1 000 000, which only a cycle reaches. */
  readonly maxDepth?: number;
  /** Writes atoms as ATOM_EXT in Latin-1 where possible, as `term_to_binary/1` did before OTP 26. Not for distribution. */
  readonly latin1Atoms?: boolean;
  /** Writes ports below 2^28 as NEW_PORT_EXT: what OTP 25 and older write, and the only form that OTP 23 reads. */
  readonly shortPorts?: boolean;
  /**
   * Binaries and copied spans of this many bytes or more are not copied: the output refers to them, and
   * {@link TermWriter.takeParts} gives them out as they are. They must not be changed until what was taken is sent.
   * Default: everything is copied.
   */
  readonly attachBytes?: number;
}

/** Bytes of somebody else that stand in the output. */
interface Attachment {
  /** Where they begin; a mark. */
  at: number;
  readonly bytes: Buffer;
}

/** Numbers for atoms, which a reader of the output knows (PROTOCOL 4.3). */
export interface AtomReferences {
  /** @returns the number that stands for `a` in the present message, 0 to 254, or -1 when it must be written out */
  refer(a: Atom): number;
}

const DEFAULT_SLAB_BYTES = 64 * 1024;
const DEFAULT_MAX_DEPTH = 1_000_000;
const MAX_U32 = 0xffff_ffff;
const MAX_U64 = (1n << 64n) - 1n;
const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);
const MIN_SAFE = -MAX_SAFE;
/** Runs up to this length are copied by a loop: `Buffer.copy` costs about as much as 60 bytes (bench in README). */
const LOOP_COPY_BYTES = 64;
/** Strings up to this length are written by a loop when they are ASCII. */
const LOOP_STRING_LENGTH = 32;

const scratch = new DataView(new ArrayBuffer(8));

/** What follows the elements of a container, other than the tail of an improper list. */
const NOTHING: unique symbol = Symbol("nothing");
const NIL: unique symbol = Symbol("[]");
/** The size of a fun is known once its free variables are written. */
const FUN_SIZE: unique symbol = Symbol("size of the fun");
type Tail = Term | typeof NOTHING | typeof NIL | typeof FUN_SIZE;
const EMPTY: readonly Term[] = [];

/**
 * Output for terms and frames over slabs of memory. {@link TermWriter.take} gives out views; the bytes of a view are
 * never written again, so a socket may hold them without a copy. A slab lives as long as one of its views.
 *
 * Positions given out by {@link TermWriter.mark} count from the untaken start and stay valid until the next `take`,
 * also when the bytes move to a new slab.
 *
 * @example
 * ```ts
 * const out = new TermWriter();
 * const mark = out.mark();
 * out.u32(0);
 * out.term(tuple(atom("ok"), 1));
 * out.patchU32(mark, out.mark() - mark - 4);
 * socket.write(out.take());
 * ```
 */
export class TermWriter {
  /** The present slab. Public for hot paths: call {@link TermWriter.ensure} first, write, then move `position`. */
  bytes: Buffer;
  /** Index in `bytes` of the next byte. */
  position: number;
  /** Writes atoms as ATOM_CACHE_REF where it can. Only for messages whose distribution header says what they mean. */
  atomReferences: AtomReferences | undefined;
  #start: number;
  readonly #slabBytes: number;
  readonly #maxDepth: number;
  readonly #latin1Atoms: boolean;
  readonly #shortPorts: boolean;
  readonly #attachBytes: number;
  /** What stands in the untaken output and not in the slab, in order; and how long it is in all. */
  readonly #attached: Attachment[] = [];
  #attachedBytes = 0;
  // the frames of containers being written, pooled
  readonly #items: (readonly Term[])[] = [];
  readonly #indexes: number[] = [];
  readonly #tails: Tail[] = [];
  readonly #patches: number[] = [];

  constructor(options: TermWriterOptions = {}) {
    this.#slabBytes = options.slabBytes ?? DEFAULT_SLAB_BYTES;
    this.#maxDepth = options.maxDepth ?? DEFAULT_MAX_DEPTH;
    this.#latin1Atoms = options.latin1Atoms ?? false;
    this.#shortPorts = options.shortPorts ?? false;
    this.#attachBytes = Math.max(options.attachBytes ?? Number.POSITIVE_INFINITY, LOOP_COPY_BYTES + 1);
    this.atomReferences = undefined;
    this.bytes = Buffer.allocUnsafeSlow(this.#slabBytes);
    this.position = 0;
    this.#start = 0;
  }

  /** Bytes written since the last {@link TermWriter.take}. */
  get length(): number {
    return this.position - this.#start + this.#attachedBytes;
  }

  /** Whether {@link TermWriter.takeParts} would give out more than one part. */
  get attached(): boolean {
    return this.#attachedBytes > 0;
  }

  /** Makes room for `n` more bytes; may replace {@link TermWriter.bytes}. */
  ensure(n: number): void {
    if (this.position + n > this.bytes.length) this.#grow(n);
  }

  /** Appends a byte. */
  u8(value: number): void {
    this.ensure(1);
    this.bytes[this.position++] = value;
  }

  /** Appends two bytes, big-endian. */
  u16(value: number): void {
    this.ensure(2);
    const at = this.position;
    this.bytes[at] = value >>> 8;
    this.bytes[at + 1] = value;
    this.position = at + 2;
  }

  /** Appends four bytes, big-endian. */
  u32(value: number): void {
    this.ensure(4);
    putU32(this.bytes, this.position, value);
    this.position += 4;
  }

  /** Appends eight bytes, big-endian. */
  u64(value: bigint): void {
    this.ensure(8);
    scratch.setBigUint64(0, value);
    for (let i = 0; i < 8; i++) this.bytes[this.position + i] = scratch.getUint8(i);
    this.position += 8;
  }

  /** Overwrites four bytes at a position that {@link TermWriter.mark} gave. */
  patchU32(at: number, value: number): void {
    putU32(this.bytes, this.indexOf(at), value);
  }

  /** The present position, counted from the untaken start. */
  mark(): number {
    return this.position - this.#start + this.#attachedBytes;
  }

  /** Where in {@link TermWriter.bytes} the position `mark` is, until more is written. */
  indexOf(mark: number): number {
    let index = this.#start + mark - this.#attachedBytes;
    // what is asked for is mostly near the end
    for (let i = this.#attached.length - 1; i >= 0; i--) {
      const { at, bytes } = this.#attached[i] as Attachment;
      if (at < mark) break;
      index += bytes.length;
    }
    return index;
  }

  /** Makes room for `n` bytes at `at`, a position that {@link TermWriter.mark} gave, before what was written since. */
  insert(at: number, n: number): void {
    this.ensure(n);
    const from = this.indexOf(at);
    this.bytes.copyWithin(from + n, from, this.position);
    this.position += n;
    this.#shift(at, n);
  }

  /**
   * Takes out the `n` bytes at `at`, a position that {@link TermWriter.mark} gave. They must not end within a span that
   * was attached.
   */
  remove(at: number, n: number): void {
    const from = this.indexOf(at);
    const to = this.indexOf(at + n);
    this.bytes.copyWithin(from, to, this.position);
    this.position -= to - from;
    const kept = this.#attached.filter((one) => one.at < at || one.at >= at + n);
    if (kept.length < this.#attached.length) {
      this.#attached.splice(0, this.#attached.length, ...kept);
      this.#attachedBytes = kept.reduce((sum, { bytes }) => sum + bytes.length, 0);
    }
    this.#shift(at, -n);
  }

  /** Forgets everything written since `mark`. */
  truncate(mark: number): void {
    this.position = this.indexOf(mark);
    while (this.#attachedBytes > 0 && (this.#attached.at(-1) as Attachment).at >= mark) {
      this.#attachedBytes -= (this.#attached.pop() as Attachment).bytes.length;
    }
  }

  /** Appends `source[start, end)`. */
  copy(source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (length >= this.#attachBytes) {
      this.#attach(source, start, length);
      return;
    }
    this.ensure(length);
    const bytes = this.bytes;
    let at = this.position;
    if (length <= LOOP_COPY_BYTES) {
      for (let i = start; i < end; i++) bytes[at++] = source[i] as number;
      this.position = at;
      return;
    }
    bytes.set(start === 0 && end === source.length ? source : source.subarray(start, end), at);
    this.position = at + length;
  }

  /** A view of everything untaken; a copy when something is attached. Writing continues behind it. */
  take(): Buffer {
    if (this.#attachedBytes > 0) return this.#joined();
    const taken = this.bytes.subarray(this.#start, this.position);
    this.#start = this.position;
    return taken;
  }

  /** Appends everything untaken to `parts`: views of the slab and what was attached, in order; nothing for nothing. */
  takeParts(parts: Buffer[]): void {
    let from = this.#start;
    let before = 0;
    for (const { at, bytes } of this.#attached) {
      const to = this.#start + at - before;
      if (to > from) parts.push(this.bytes.subarray(from, to));
      parts.push(bytes);
      before += bytes.length;
      from = to;
    }
    if (this.position > from) parts.push(this.bytes.subarray(from, this.position));
    this.#start = this.position;
    this.#attached.length = 0;
    this.#attachedBytes = 0;
  }

  /** A copy of everything untaken, in memory of its own, which is then forgotten: the slab is written again. */
  copyOut(): Buffer {
    const start = this.#start;
    const copy =
      this.#attachedBytes > 0 ? this.#joined() : Buffer.from(this.bytes.subarray(start, this.position));
    this.#start = start;
    this.position = start;
    return copy;
  }

  /** One of the two atom tags, in UTF-8 unless the writer was made for Latin-1. */
  atom(a: Atom): void {
    if (this.atomReferences !== undefined) {
      const number = this.atomReferences.refer(a);
      if (number >= 0) {
        this.ensure(2);
        this.bytes[this.position] = 82;
        this.bytes[this.position + 1] = number;
        this.position += 2;
        return;
      }
    }
    if (this.#latin1Atoms && this.#latin1Atom(a)) return;
    const wire = atomWire(a);
    const length = wire.length;
    this.ensure(length);
    const bytes = this.bytes;
    let at = this.position;
    for (let i = 0; i < length; i++) bytes[at++] = wire[i] as number;
    this.position = at;
  }

  /** NEW_PID_EXT. */
  pid(pid: Pid): void {
    this.u8(88);
    this.atom(pid.node);
    this.ensure(12);
    const bytes = this.bytes;
    const at = this.position;
    putU32(bytes, at, pid.id);
    putU32(bytes, at + 4, pid.serial);
    putU32(bytes, at + 8, pid.creation);
    this.position = at + 12;
  }

  /** V4_PORT_EXT, or NEW_PORT_EXT for a small id in a writer with `shortPorts`. */
  port(port: Port): void {
    const short = this.#shortPorts && port.id < 1n << 28n;
    this.u8(short ? 89 : 120);
    this.atom(port.node);
    if (short) this.u32(Number(port.id));
    else this.u64(port.id);
    this.u32(port.creation);
  }

  /** NEWER_REFERENCE_EXT. */
  reference(reference: Reference): void {
    const words = reference.words;
    this.u8(90);
    this.u16(words.length);
    this.atom(reference.node);
    this.ensure(4 + words.length * 4);
    const bytes = this.bytes;
    let at = this.position;
    putU32(bytes, at, reference.creation);
    at += 4;
    for (let i = 0; i < words.length; i++, at += 4) putU32(bytes, at, words[i] as number);
    this.position = at;
  }

  /** The head of a tuple; its elements must follow. */
  tupleHeader(arity: number): void {
    this.ensure(5);
    if (arity < 256) {
      this.bytes[this.position] = 104;
      this.bytes[this.position + 1] = arity;
      this.position += 2;
    } else {
      this.#head(105, arity);
    }
  }

  /** @throws IsthmusError `ETF_NUMBER_UNSAFE`; `ETF_UNREPRESENTABLE` for a fraction, `NaN` or an infinity */
  integer(n: number | bigint): void {
    if (typeof n === "bigint") this.#bigint(n);
    else if (Number.isInteger(n)) this.#number(n);
    else throw etfError("ETF_UNREPRESENTABLE", `${n} is not an integer.`);
  }

  /**
   * Appends one term, without the version byte. When it throws, what was written since the call is still there: roll
   * back with {@link TermWriter.truncate}.
   * @throws IsthmusError `ETF_NUMBER_UNSAFE`, `ETF_UNREPRESENTABLE`, `ETF_DUPLICATE_KEY`,
   * `ETF_DEPTH_LIMIT`, `ETF_SIZE_LIMIT`
   */
  term(term: Term): void {
    let items: readonly Term[] = EMPTY;
    let index = 0;
    let tail: Tail = NOTHING;
    let depth = 0;
    const patches = this.#patches.length;
    for (;;) {
      let opened: readonly Term[] | undefined;
      let openedTail: Tail = NOTHING;
      switch (typeof term) {
        case "number":
          this.#number(term);
          break;
        case "string":
          this.#string(term);
          break;
        case "boolean":
          this.atom(term ? ATOM_TRUE : ATOM_FALSE);
          break;
        case "bigint":
          this.#bigint(term);
          break;
        default:
          if (term instanceof Atom) {
            this.atom(term);
          } else if (term instanceof Tuple) {
            opened = term.elements;
            this.tupleHeader(opened.length);
          } else if (Array.isArray(term)) {
            if (!this.#shortList(term as readonly Term[])) {
              opened = term as readonly Term[];
              openedTail = NIL;
              this.#head(108, opened.length);
            }
          } else if (term instanceof Uint8Array) {
            this.#binary(109, term, -1);
          } else if (term instanceof TermMap) {
            opened = term.flat;
            this.#head(116, opened.length >>> 1);
          } else if (term instanceof Pid) {
            this.pid(term);
          } else if (term instanceof Reference) {
            this.reference(term);
          } else if (term instanceof Float) {
            this.#float(term.value);
          } else if (term instanceof ImproperList) {
            opened = term.elements;
            openedTail = term.tail;
            this.#head(108, opened.length);
          } else if (term instanceof Map) {
            opened = flattened(term);
            this.#head(116, opened.length >>> 1);
          } else if (term instanceof Fun) {
            opened = term.free;
            openedTail = FUN_SIZE;
            this.#funHead(term);
          } else if (term instanceof NativeRecord) {
            opened = term.values;
            this.#recordHead(term);
          } else {
            this.#rare(term);
          }
      }
      if (opened !== undefined) {
        if (depth >= this.#maxDepth) {
          this.#patches.length = patches;
          throw etfError(
            "ETF_DEPTH_LIMIT",
            `The term is nested deeper than ${this.#maxDepth}. If it does not contain itself, raise maxDepth.`,
          );
        }
        this.#items[depth] = items;
        this.#indexes[depth] = index;
        this.#tails[depth] = tail;
        depth++;
        items = opened;
        index = 0;
        tail = openedTail;
      }
      // on to the next term
      for (;;) {
        if (index < items.length) {
          term = items[index++] as Term;
          break;
        }
        if (tail === NIL) {
          this.u8(106);
        } else if (tail === FUN_SIZE) {
          const mark = this.#patches.pop() as number;
          this.patchU32(mark, this.mark() - mark);
        } else if (tail !== NOTHING) {
          term = tail;
          tail = NOTHING;
          break;
        }
        if (depth === 0) return;
        depth--;
        items = this.#items[depth] as readonly Term[];
        index = this.#indexes[depth] as number;
        tail = this.#tails[depth] as Tail;
        // the pool must not keep what was written alive
        this.#items[depth] = EMPTY;
        this.#tails[depth] = NOTHING;
      }
    }
  }

  #number(n: number): void {
    this.ensure(11);
    const bytes = this.bytes;
    const at = this.position;
    if ((n | 0) === n) {
      if ((n & 255) === n) {
        bytes[at] = 97;
        bytes[at + 1] = n;
        this.position = at + 2;
        return;
      }
      bytes[at] = 98;
      putU32(bytes, at + 1, n);
      this.position = at + 5;
      return;
    }
    if (!Number.isInteger(n)) {
      this.#float(n);
      return;
    }
    if (!Number.isSafeInteger(n)) {
      throw etfError(
        "ETF_NUMBER_UNSAFE",
        `${n} is a whole number beyond 2^53, which may have been rounded. Pass a bigint for an integer, or new Float(value) for a float.`,
      );
    }
    let rest = Math.abs(n);
    let length = 0;
    bytes[at] = 110;
    bytes[at + 2] = n < 0 ? 1 : 0;
    while (rest > 0) {
      bytes[at + 3 + length++] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    bytes[at + 1] = length;
    this.position = at + 3 + length;
  }

  #bigint(n: bigint): void {
    if (n >= MIN_SAFE && n <= MAX_SAFE) {
      this.#number(Number(n));
      return;
    }
    const magnitude = n < 0n ? -n : n;
    if (magnitude <= MAX_U64) {
      this.ensure(11);
      const bytes = this.bytes;
      const at = this.position;
      scratch.setBigUint64(0, magnitude);
      let length = 8;
      while (scratch.getUint8(8 - length) === 0) length--;
      bytes[at] = 110;
      bytes[at + 1] = length;
      bytes[at + 2] = n < 0n ? 1 : 0;
      for (let i = 0; i < length; i++) bytes[at + 3 + i] = scratch.getUint8(7 - i);
      this.position = at + 3 + length;
      return;
    }
    const hex = magnitude.toString(16);
    const digits = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex").reverse();
    if (digits.length < 256) {
      this.u8(110);
      this.u8(digits.length);
    } else {
      this.#head(111, digits.length);
    }
    this.u8(n < 0n ? 1 : 0);
    this.copy(digits, 0, digits.length);
  }

  #float(value: number): void {
    if (!Number.isFinite(value)) {
      throw etfError("ETF_UNREPRESENTABLE", `Erlang has no number ${value}. Pass an atom instead.`);
    }
    this.ensure(9);
    const bytes = this.bytes;
    const at = this.position;
    scratch.setFloat64(0, value);
    bytes[at] = 70;
    putU32(bytes, at + 1, scratch.getUint32(0));
    putU32(bytes, at + 5, scratch.getUint32(4));
    this.position = at + 9;
  }

  /** A string as a binary in UTF-8. */
  #string(text: string): void {
    const length = text.length;
    if (length <= LOOP_STRING_LENGTH) {
      this.ensure(5 + length);
      const bytes = this.bytes;
      let at = this.position + 5;
      let i = 0;
      for (; i < length; i++) {
        const unit = text.charCodeAt(i);
        if (unit > 127) break;
        bytes[at++] = unit;
      }
      if (i === length) {
        bytes[this.position] = 109;
        putU32(bytes, this.position + 1, length);
        this.position = at;
        return;
      }
    }
    if (!text.isWellFormed()) {
      throw etfError(
        "ETF_UNREPRESENTABLE",
        "A string has half of a surrogate pair and so no UTF-8 form. Correct it.",
      );
    }
    const size = Buffer.byteLength(text, "utf8");
    this.#head(109, size);
    this.ensure(size);
    this.bytes.write(text, this.position, size, "utf8");
    this.position += size;
  }

  /** @param bits for BIT_BINARY_EXT, -1 for none */
  #binary(tag: number, data: Uint8Array, bits: number): void {
    const length = data.length;
    this.ensure(length < this.#attachBytes ? length + 6 : 6);
    this.#head(tag, length);
    if (bits >= 0) this.u8(bits);
    this.copy(data, 0, length);
  }

  /** Writes `[]`, and as STRING_EXT a list of 1 to 65535 bytes; the BEAM writes those so, in messages too. */
  #shortList(list: readonly Term[]): boolean {
    const length = list.length;
    if (length === 0) {
      this.u8(106);
      return true;
    }
    if (length > 65535) return false;
    for (let i = 0; i < length; i++) {
      const item = list[i];
      if (
        typeof item === "number"
          ? (item & 255) !== item
          : typeof item !== "bigint" || item < 0n || item > 255n
      ) {
        return false;
      }
    }
    this.ensure(3 + length);
    const bytes = this.bytes;
    let at = this.position;
    bytes[at] = 107;
    bytes[at + 1] = length >>> 8;
    bytes[at + 2] = length;
    at += 3;
    for (let i = 0; i < length; i++) bytes[at++] = Number(list[i]);
    this.position = at;
    return true;
  }

  /** A tag and a 32-bit length. */
  #head(tag: number, length: number): void {
    if (length > MAX_U32) {
      throw etfError(
        "ETF_SIZE_LIMIT",
        `A part of ${length} bytes or elements is beyond what the format can say.`,
      );
    }
    this.ensure(5);
    this.bytes[this.position] = tag;
    putU32(this.bytes, this.position + 1, length);
    this.position += 5;
  }

  #latin1Atom(a: Atom): boolean {
    const text = a.text;
    for (let i = 0; i < text.length; i++) {
      if (text.charCodeAt(i) > 255) return false;
    }
    this.u8(100);
    this.u16(text.length);
    this.ensure(text.length);
    this.bytes.write(text, this.position, text.length, "latin1");
    this.position += text.length;
    return true;
  }

  #funHead(fun: Fun): void {
    this.u8(112);
    this.#patches.push(this.mark());
    this.u32(0);
    this.u8(fun.arity);
    this.copy(fun.uniq, 0, 16);
    this.u32(fun.index);
    this.u32(fun.free.length);
    this.atom(fun.module);
    this.#number(fun.oldIndex);
    this.#number(fun.oldUniq);
    this.pid(fun.creator);
  }

  #recordHead(record: NativeRecord): void {
    this.#head(67, record.fields.length);
    this.u8(record.exported ? 1 : 0);
    this.atom(record.module);
    this.atom(record.name);
    for (const field of record.fields) this.atom(field);
  }

  #rare(term: unknown): void {
    if (term instanceof Port) {
      this.port(term);
    } else if (term instanceof BitString) {
      this.#binary(77, term.bytes, term.bits);
    } else if (term instanceof ExportFun) {
      this.u8(113);
      this.atom(term.module);
      this.atom(term.function);
      this.#number(term.arity);
    } else if (term instanceof LocalTerm) {
      throw etfError(
        "ETF_UNREPRESENTABLE",
        "A local term stands alone; it cannot be part of another term or of a message.",
      );
    } else {
      const what =
        term === null
          ? "null"
          : typeof term === "object"
            ? `a ${term.constructor?.name ?? "bare object"}`
            : typeof term;
      throw etfError(
        "ETF_UNREPRESENTABLE",
        `${what} is not a term. Use the constructors of this package, or fromJs.`,
      );
    }
  }

  #attach(source: Uint8Array, start: number, length: number): void {
    const bytes = Buffer.from(source.buffer, source.byteOffset + start, length);
    this.#attached.push({ at: this.mark(), bytes });
    this.#attachedBytes += length;
  }

  /** Moves what was attached at `from` or behind it by `n` bytes. */
  #shift(from: number, n: number): void {
    for (let i = this.#attached.length - 1; i >= 0; i--) {
      const one = this.#attached[i] as Attachment;
      if (one.at < from) return;
      one.at += n;
    }
  }

  /** Everything untaken in one piece. */
  #joined(): Buffer {
    const parts: Buffer[] = [];
    this.takeParts(parts);
    return Buffer.concat(parts);
  }

  #grow(n: number): void {
    const used = this.position - this.#start;
    // big enough for what is asked, and doubling while small pieces add up; a slab is not doubled for one large piece
    const size = Math.max(this.#slabBytes, used + Math.max(n + (used >>> 1), used) + 1024);
    const slab = Buffer.allocUnsafeSlow(size);
    slab.set(this.bytes.subarray(this.#start, this.position));
    this.bytes = slab;
    this.#start = 0;
    this.position = used;
  }
}

function putU32(bytes: Buffer, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** A program's own `Map` may have keys that are different objects and one term. */
function flattened(map: ReadonlyMap<Term, Term>): Term[] {
  const flat: Term[] = [];
  for (const [key, value] of map) flat.push(key, value);
  if (hasDuplicateKeys(flat, undefined)) {
    throw etfError(
      "ETF_DUPLICATE_KEY",
      "A map has two keys that are the same term. Keys are compared by value.",
    );
  }
  return flat;
}
