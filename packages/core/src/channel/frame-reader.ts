import { FLAG } from "@isthmus/dist-handshake";
import type { Atom, TermLimits } from "@isthmus/etf";
import { coreError } from "../errors.ts";
import { DistHeaderReader } from "./dist-header-reader.ts";
import { type FragmentLimits, Fragments, type WholeMessage } from "./fragments.ts";
import type { Signal } from "./signal.ts";
import { SignalReader } from "./signal-reader.ts";

const VERSION = 131;
const HEADER = 68;
const FIRST_FRAGMENT = 69;
const NEXT_FRAGMENT = 70;
/** Version, kind, sequence and number of a fragment. */
const FRAGMENT_START = 18;
/** What an atom takes in a distribution header, at most: its slot, length, and 255 characters in UTF-8. */
const HEADER_ATOM_BYTES = 1 + 2 + 255 * 4;

/** Whether frames carry distribution headers under these flags; otherwise they are pass-through (PROTOCOL 4.2). */
export function usesDistHeader(flags: bigint): boolean {
  return (flags & (FLAG.DIST_HDR_ATOM_CACHE | FLAG.FRAGMENTS)) !== 0n;
}

/** Decodes the frames of one connection, in the framing that was negotiated, into signals. */
export class FrameReader {
  readonly #signals: SignalReader;
  readonly #header: DistHeaderReader | undefined;
  readonly #fragments: Fragments;

  /**
   * @param peer node name of the other end
   * @param flags what both ends support
   */
  constructor(
    peer: Atom,
    flags: bigint,
    limits: { readonly terms?: Partial<TermLimits>; readonly fragments?: Partial<FragmentLimits> } = {},
  ) {
    this.#signals = new SignalReader(peer, limits.terms);
    this.#header = usesDistHeader(flags) ? new DistHeaderReader() : undefined;
    this.#fragments = new Fragments(limits.fragments);
  }

  /**
   * One frame, without its length; not a tick.
   * @returns the signal, which holds until the next call; undefined for a fragment of a message that is not complete
   * @throws IsthmusError `FRAME_MALFORMED`, `FRAGMENT_LIMIT`, `CONTROL_MALFORMED`, `CONTROL_NOT_OWN`, or a code of the term codec
   */
  read(bytes: Buffer, start: number, end: number): Signal | undefined {
    const header = this.#header;
    if (header === undefined) {
      // any byte may stand first: a BEAM does not look at it either
      if (end - start < 3 || bytes[start + 1] !== VERSION) throw malformed(bytes, start);
      return this.#signals.read(bytes, start + 2, end, true);
    }
    if (end - start < 3 || bytes[start] !== VERSION) throw malformed(bytes, start);
    const kind = bytes[start + 1]!;
    if (kind === HEADER) {
      const control = header.read(bytes, start + 2, end);
      return this.#signals.read(bytes, control, end, false, header.atomRefs);
    }
    if ((kind !== FIRST_FRAGMENT && kind !== NEXT_FRAGMENT) || end - start < FRAGMENT_START)
      throw malformed(bytes, start);
    const sequence = bytes.readBigUInt64BE(start + 2);
    const number = bytes.readBigUInt64BE(start + 10);
    let whole: WholeMessage | undefined;
    if (kind === FIRST_FRAGMENT) {
      const control = header.read(bytes, start + FRAGMENT_START, end);
      whole = this.#fragments.first(sequence, number, bytes.subarray(control, end), header.atomRefs);
    } else {
      whole = this.#fragments.next(sequence, number, bytes.subarray(start + FRAGMENT_START, end));
    }
    return this.#whole(whole);
  }

  /**
   * The beginning of a frame of `length` bytes that is too long to be taken, in pass-through framing.
   * @returns a signal with {@link Signal.missingBytes}
   * @throws IsthmusError the codes of `read`
   */
  readHead(head: Buffer, length: number): Signal {
    if (head.length < 3 || head[1] !== VERSION) throw malformed(head, 0);
    const signal = this.#signals.read(head, 2, head.length, true);
    signal.missingBytes = length - head.length;
    return signal;
  }

  /**
   * The beginning `[start, end)` of a frame of `length` bytes, of which more is to come.
   * @returns whether {@link FrameReader.readNext} shall have the rest, piece by piece, instead of `read` the whole frame:
   * so it is with fragments, which would only be copied once more by being gathered
   * @throws IsthmusError `FRAME_MALFORMED`, `FRAGMENT_LIMIT`
   */
  begin(bytes: Buffer, start: number, end: number, length: number): boolean {
    const header = this.#header;
    if (header === undefined || end - start <= FRAGMENT_START || bytes[start] !== VERSION) return false;
    const kind = bytes[start + 1];
    const sequence = bytes.readBigUInt64BE(start + 2);
    const number = bytes.readBigUInt64BE(start + 10);
    let terms = start + FRAGMENT_START;
    if (kind === NEXT_FRAGMENT) {
      this.#fragments.begin(sequence, number, start + length - terms);
    } else if (kind === FIRST_FRAGMENT && number !== 1n) {
      // the header must be here, as long as it may be
      const atoms = bytes[terms]!;
      if (end - terms < 2 + (atoms >> 1) + atoms * HEADER_ATOM_BYTES) return false;
      terms = header.read(bytes, terms, end);
      this.#fragments.beginFirst(sequence, number, start + length - terms, header.atomRefs);
    } else {
      return false;
    }
    this.#fragments.piece(bytes.subarray(terms, end), start + length - end);
    return true;
  }

  /**
   * What comes next of a frame that was begun, and how many bytes are `left` after it.
   * @returns as `read`
   * @throws IsthmusError the codes of `read`
   */
  readNext(bytes: Buffer, start: number, end: number, left: number): Signal | undefined {
    return this.#whole(this.#fragments.piece(bytes.subarray(start, end), left));
  }

  #whole(message: WholeMessage | undefined): Signal | undefined {
    if (message === undefined) return undefined;
    return this.#signals.read(message.bytes, 0, message.bytes.length, false, message.atomRefs);
  }
}

function malformed(bytes: Buffer, start: number): Error {
  return coreError("FRAME_MALFORMED", "The peer sent a frame that is not of the negotiated form.", {
    context: { first: bytes[start], second: bytes[start + 1] },
  });
}
