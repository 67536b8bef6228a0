import { FLAG } from "@isthmus/dist-handshake";
import type { Pid, TermWriter } from "@isthmus/etf";
import { DistHeaderWriter } from "./dist-header-writer.ts";
import { usesDistHeader } from "./frame-reader.ts";

/**
 * Where the body of a signal comes from: a term to encode, or bytes to rewrite. Objects of this kind are made once
 * and refilled, so that the message path allocates nothing.
 */
export interface BodySource {
  /** Appends exactly one term, without a version byte. Whatever it throws leaves no trace in the output. */
  writeTo(out: TermWriter): void;
  /**
   * Given when `writeTo` appends only the beginning of a term: the number of fragments that it will have, 2 or more. The
   * others follow with {@link FrameWriter.fragment}, and before the last of them nothing else may be written. Needs a
   * connection with `FRAGMENTS`.
   */
  readonly fragments?: number;
}

/** A BEAM cuts longer messages, too, and no shorter ones. */
const FRAGMENT_BYTES = 64 * 1024;
const VERSION = 131;
const HEADER = 68;
const FIRST_FRAGMENT = 69;
const NEXT_FRAGMENT = 70;
const PASS_THROUGH = 112;
/** Length, version and kind of a frame with a distribution header. */
const FRAME_START = 6;

/** A message of which fragments are still to be sent. */
interface Sequence {
  readonly id: bigint;
  /** What is left of its terms. */
  readonly terms: Buffer[];
  bytes: number;
  /** Fragments that are left; they count down to 1. */
  left: number;
  /** Frames of the same sender, which must not overtake it. */
  readonly behind: Frame[];
}

/** A frame that waits: its terms, with every atom written out, and how many bytes of them the first fragment must have. */
interface Frame {
  readonly terms: Buffer[];
  readonly bytes: number;
  readonly control: number;
}

/**
 * Puts signals into frames, in the framing that the flags ask for: pass-through, or with distribution header, atom
 * cache and fragments. The fragments of a long message leave one by one ({@link FrameWriter.nextFragment}), so that
 * signals of other processes need not wait for it; those of the same process do, since signals between two processes
 * arrive in order.
 */
export class FrameWriter {
  readonly out: TermWriter;
  /** Frames that leave before those in `out`. Whoever sends them empties it. */
  readonly ready: Buffer[] = [];
  readonly #written: () => void;
  readonly #header: DistHeaderWriter | undefined;
  readonly #atoms: DistHeaderWriter | undefined;
  readonly #fragments: boolean;
  /** Long messages that are under way, by sender; the next in turn first. */
  readonly #sequences = new Map<string, Sequence>();
  #sequence = 0n;
  #pendingBytes = 0;
  #mark = 0;
  /** Room that was left for the header, by the size of the one before: mostly the next is as long. */
  #room = 1;
  /** Where the body of the frame being written begins; -1 for none, and then the frame is never cut. */
  #bodyAt = -1;
  #from: Pid | undefined;
  /** What the frame being written must not overtake. */
  #after: Sequence | undefined;
  /** Fragments that the frame being written will have, when they come by themselves; 0 otherwise. */
  #announced = 0;
  /** Such a message, while it is not complete. */
  #open: Sequence | undefined;

  /**
   * @param flags what both ends support
   * @param written called when there is something to send
   */
  constructor(out: TermWriter, flags: bigint, written: () => void) {
    this.out = out;
    this.#written = written;
    this.#header = usesDistHeader(flags) ? new DistHeaderWriter() : undefined;
    this.#atoms = (flags & FLAG.DIST_HDR_ATOM_CACHE) !== 0n ? this.#header : undefined;
    this.#fragments = (flags & FLAG.FRAGMENTS) !== 0n;
  }

  /** Whether fragments are left to be sent. */
  get pending(): boolean {
    return this.#sequences.size > 0;
  }

  /** Bytes of long messages that are left to be sent. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * Begins a frame with the head of its control tuple.
   * @param from whose signal it is; undefined when that is not known, and then everything before it leaves first
   */
  begin(op: number, arity: number, from: Pid | undefined): void {
    const out = this.out;
    this.#bodyAt = -1;
    this.#announced = 0;
    this.#from = from;
    if (this.#sequences.size > 0) this.#keepOrder(from);
    const mark = out.mark();
    this.#mark = mark;
    const header = this.#header;
    out.ensure(FRAME_START + 4 + this.#room);
    const bytes = out.bytes;
    let at = out.position + 4;
    if (header === undefined) {
      bytes[at++] = PASS_THROUGH;
      bytes[at++] = VERSION;
    } else {
      header.begin();
      bytes[at++] = VERSION;
      bytes[at++] = HEADER;
      at += this.#room;
      // the peer must meet a new atom in the order of the frames, so one that waits brings none
      if (this.#after === undefined) out.atomReferences = this.#atoms;
    }
    bytes[at++] = 104;
    bytes[at++] = arity;
    bytes[at++] = 97;
    bytes[at++] = op;
    out.position = at;
  }

  /** The part of a signal that is not of its control tuple; the last of a frame. */
  body(body: BodySource): void {
    if (this.#header === undefined) this.out.u8(VERSION);
    this.#bodyAt = this.out.mark();
    this.#announced = body.fragments ?? 0;
    body.writeTo(this.out);
  }

  /** Forgets the frame that was begun. */
  abandon(): void {
    this.out.atomReferences = undefined;
    this.out.truncate(this.#mark);
    this.#header?.abandon();
    this.#after = undefined;
  }

  /** Ends the frame that was begun. */
  end(): void {
    const out = this.out;
    const header = this.#header;
    if (header === undefined) {
      out.patchU32(this.#mark, out.mark() - this.#mark - 4);
      this.#written();
      return;
    }
    out.atomReferences = undefined;
    const terms = this.#mark + FRAME_START + this.#room;
    const length = out.mark() - terms;
    if (this.#announced > 0) {
      this.flush();
      this.#open = this.#first(this.#detach(terms, length), length, this.#announced);
      this.#written();
      return;
    }
    const after = this.#after;
    const cut = this.#fragments && this.#bodyAt >= 0 && length > FRAGMENT_BYTES && this.#from !== undefined;
    if (after !== undefined) {
      const control = cut ? this.#bodyAt - terms : length;
      this.#after = undefined;
      after.behind.push(this.#detach(terms, control));
      this.#pendingBytes += length;
      // nothing to send, but the backlog has grown and must be looked at
      this.#written();
      return;
    }
    if (cut) this.#begin(this.#detach(terms, this.#bodyAt - terms), senderKey(this.#from as Pid));
    else this.#close(header, length);
    this.#written();
  }

  /**
   * Sends the next fragment of a message that was announced with {@link BodySource.fragments}.
   * @param out has what goes into it, and is emptied; not the writer of this connection, which is sent as it is
   */
  fragment(out: TermWriter): void {
    const sequence = this.#open;
    if (sequence === undefined) return;
    const { terms } = sequence;
    out.takeParts(terms);
    for (const part of terms) sequence.bytes += part.length;
    this.#pendingBytes += sequence.bytes;
    this.#fragment(NEXT_FRAGMENT, sequence, EMPTY, sequence.bytes);
    if (sequence.left === 0) this.#open = undefined;
    this.#written();
  }

  /**
   * Moves the next fragment of a long message to {@link FrameWriter.ready}; long messages take turns. What waited for
   * its end follows.
   */
  nextFragment(): void {
    const next = this.#sequences.entries().next();
    if (next.done === true) return;
    const [sender, sequence] = next.value;
    this.#fragment(NEXT_FRAGMENT, sequence, EMPTY, Math.min(sequence.bytes, FRAGMENT_BYTES));
    this.#sequences.delete(sender);
    if (sequence.left > 0) this.#sequences.set(sender, sequence);
    else this.#release(sender, sequence.behind);
  }

  /** Moves everything that waits to {@link FrameWriter.ready}. */
  flush(): void {
    while (this.#sequences.size > 0) this.nextFragment();
  }

  /** Finds what the frame about to begin must not overtake. */
  #keepOrder(from: Pid | undefined): void {
    if (from === undefined) {
      this.out.takeParts(this.ready);
      this.flush();
    } else {
      this.#after = this.#sequences.get(senderKey(from));
    }
  }

  /** Writes the header into the room before the terms, which are moved when it does not fit. */
  #close(header: DistHeaderWriter, length: number): void {
    const out = this.out;
    const size = header.size;
    const terms = this.#mark + FRAME_START + this.#room;
    if (size !== this.#room) {
      if (size > this.#room) out.insert(terms, size - this.#room);
      else out.remove(terms - this.#room + size, this.#room - size);
      this.#room = size;
    }
    out.patchU32(this.#mark, FRAME_START - 4 + size + length);
    header.write(out.bytes, out.indexOf(this.#mark + FRAME_START));
  }

  /** Takes the terms of the frame being written out of `out`, and what stands before it to {@link FrameWriter.ready}. */
  #detach(terms: number, control: number): Frame {
    const bytes = this.out.mark() - terms;
    const parts: Buffer[] = [];
    this.out.takeParts(parts);
    moveBytes(parts, this.#mark, this.ready);
    moveBytes(parts, terms - this.#mark, []);
    return { terms: parts, bytes, control };
  }

  /** Sends the first fragment of a long message; the others follow (PROTOCOL 4.4). */
  #begin(frame: Frame, sender: string): void {
    const { bytes, control } = frame;
    // the control tuple must be whole in the first fragment
    const first = Math.min(bytes, Math.max(FRAGMENT_BYTES, control));
    this.#sequences.set(sender, this.#first(frame, first, 1 + Math.ceil((bytes - first) / FRAGMENT_BYTES)));
  }

  /** Sends a fragment with the first `length` bytes of a message that has `count` of them. */
  #first({ terms, bytes }: Frame, length: number, count: number): Sequence {
    const header = this.#header as DistHeaderWriter;
    const start = Buffer.allocUnsafe(header.size);
    header.write(start, 0);
    this.#sequence = BigInt.asUintN(64, this.#sequence + 1n) || 1n;
    const sequence: Sequence = { id: this.#sequence, terms, bytes, left: count, behind: [] };
    this.#pendingBytes += bytes;
    this.#fragment(FIRST_FRAGMENT, sequence, start, length);
    return sequence;
  }

  #fragment(kind: number, sequence: Sequence, header: Buffer, bytes: number): void {
    const start = Buffer.allocUnsafe(22 + header.length);
    start.writeUInt32BE(18 + header.length + bytes, 0);
    start[4] = VERSION;
    start[5] = kind;
    start.writeBigUInt64BE(sequence.id, 6);
    start.writeBigUInt64BE(BigInt(sequence.left), 14);
    start.set(header, 22);
    this.ready.push(start);
    moveBytes(sequence.terms, bytes, this.ready);
    this.#pendingBytes -= bytes;
    sequence.bytes -= bytes;
    sequence.left--;
  }

  /** Sends what waited, up to the next long message, behind which the rest waits on. */
  #release(sender: string, waiting: readonly Frame[]): void {
    for (let i = 0; i < waiting.length; i++) {
      const frame = waiting[i] as Frame;
      this.#pendingBytes -= frame.bytes;
      this.#header?.begin();
      if (frame.bytes <= FRAGMENT_BYTES || frame.control === frame.bytes) {
        const start = Buffer.allocUnsafe(7);
        start.writeUInt32BE(3 + frame.bytes, 0);
        start[4] = VERSION;
        start[5] = HEADER;
        start[6] = 0;
        this.ready.push(start, ...frame.terms);
        continue;
      }
      this.#begin(frame, sender);
      const sequence = this.#sequences.get(sender);
      if (sequence === undefined) continue;
      for (let j = i + 1; j < waiting.length; j++) sequence.behind.push(waiting[j] as Frame);
      return;
    }
  }
}

const EMPTY = Buffer.alloc(0);

/** Moves the first `n` bytes of `parts` to the end of `to`. */
function moveBytes(parts: Buffer[], n: number, to: Buffer[]): void {
  while (n > 0) {
    const first = parts[0] as Buffer;
    if (first.length > n) {
      to.push(first.subarray(0, n));
      parts[0] = first.subarray(n);
      return;
    }
    to.push(first);
    parts.shift();
    n -= first.length;
  }
}

function senderKey({ node, id, serial, creation }: Pid): string {
  return `${id}.${serial}.${creation}.${node.text}`;
}
