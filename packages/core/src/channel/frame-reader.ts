import { FLAG } from "@isthmus/dist-handshake";
import type { Atom, TermLimits } from "@isthmus/etf";
import { coreError } from "../errors.ts";
import { DistHeaderReader } from "./dist-header-reader.ts";
import { type FragmentLimits, Fragments } from "./fragments.ts";
import type { Signal } from "./signal.ts";
import { SignalReader } from "./signal-reader.ts";

const VERSION = 131;
const HEADER = 68;
const FIRST_FRAGMENT = 69;
const NEXT_FRAGMENT = 70;

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
    if ((kind !== FIRST_FRAGMENT && kind !== NEXT_FRAGMENT) || end - start < 18)
      throw malformed(bytes, start);
    const sequence = bytes.readBigUInt64BE(start + 2);
    const number = bytes.readBigUInt64BE(start + 10);
    let whole: ReturnType<Fragments["next"]>;
    if (kind === FIRST_FRAGMENT) {
      const control = header.read(bytes, start + 18, end);
      whole = this.#fragments.first(sequence, number, bytes.subarray(control, end), header.atomRefs);
    } else {
      whole = this.#fragments.next(sequence, number, bytes.subarray(start + 18, end));
    }
    if (whole === undefined) return undefined;
    return this.#signals.read(whole.bytes, 0, whole.bytes.length, false, whole.atomRefs);
  }
}

function malformed(bytes: Buffer, start: number): Error {
  return coreError("FRAME_MALFORMED", "The peer sent a frame that is not of the negotiated form.", {
    context: { first: bytes[start], second: bytes[start + 1] },
  });
}
