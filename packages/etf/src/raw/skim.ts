import { readU32 } from "../decode/fields.ts";
import { partCount, tokenEnd } from "./token.ts";

/** Why {@link TermSkimmer.run} has stopped. */
export const STOP = Object.freeze({
  /** The bytes end, or the token at `at` is not whole in them. */
  ENDED: 0,
  /** The frame `floor` has all its terms; the last ends at `at`. */
  CLOSED: 1,
  /** The list that is the frame `floor` goes on with more elements, whose LIST_EXT is at `at`. */
  LINKED: 2,
  /** The token at `at` cannot stand there. */
  FAULT: 3,
});

/** What a frame is. */
export const FRAME = Object.freeze({
  /** The one around the term, and tuples. */
  PLAIN: 0,
  /** A list; its tail counts as one more term. */
  LIST: 1,
  /** A list in more than one LIST_EXT, one being the tail of another. */
  LINKED: 2,
  /** A map; keys and values count. */
  MAP: 3,
  /** A fun or a record. */
  BOUND: 4,
});

/**
 * Goes from token to token and keeps the containers that are open, so that it can go on with the next piece. It checks
 * nothing but what it needs to find the tokens: the terms are for the scanner to judge.
 * @internal
 */
export class TermSkimmer {
  /** Of each frame: how many terms it still lacks. */
  readonly left: number[] = [1];
  /** Of each frame: one of {@link FRAME}. */
  readonly kinds: number[] = [FRAME.PLAIN];
  /** Of each frame above the floor: where its term starts. */
  readonly starts: number[] = [0];
  /** The innermost frame; as many containers are open. */
  depth = 0;
  /** The frame at whose end a run stops. */
  floor = 0;
  /** Where the last run has stopped. */
  at = 0;
  /** Where the term starts whose first token is at `at`: before it where lists of no elements, mere tails, precede it. */
  start = 0;
  readonly #maxDepth: number;

  constructor(maxDepth: number) {
    this.#maxDepth = maxDepth;
  }

  /** Goes on at `at`, where a token starts, until one of {@link STOP}. */
  run(bytes: Buffer, at: number, end: number): number {
    const { left: lefts, kinds, starts, floor } = this;
    const maxDepth = this.#maxDepth;
    let depth = this.depth;
    let left = lefts[depth] as number;
    let kind = kinds[depth] as number;
    let start = at;
    let stop: number = STOP.ENDED;
    run: while (at < end) {
      let next = 0;
      let count = 0;
      let opens: number = FRAME.PLAIN;
      const tag = bytes[at] as number;
      // the frequent ones; all others are found by tokenEnd
      switch (tag) {
        case 97:
          next = at + 2;
          break;
        case 98:
          next = at + 5;
          break;
        case 106:
          next = at + 1;
          break;
        case 119:
          next = at + 1 < end ? at + 2 + (bytes[at + 1] as number) : at + 2;
          break;
        case 109:
          next = at + 5 > end ? at + 5 : at + 5 + readU32(bytes, at + 1);
          break;
        case 104:
          next = at + 2;
          if (next <= end) count = bytes[at + 1] as number;
          break;
        case 108:
          next = at + 5;
          if (next > end) break;
          count = readU32(bytes, at + 1) + 1;
          if (left === 1 && (kind === FRAME.LIST || kind === FRAME.LINKED)) {
            if (depth === floor) {
              stop = STOP.LINKED;
              break run;
            }
            kind = FRAME.LINKED;
            kinds[depth] = kind;
            left = count;
            at = next;
            start = at;
            continue;
          }
          if (count === 1) {
            // no elements: the tail alone is the term
            at = next;
            continue;
          }
          opens = FRAME.LIST;
          break;
        default:
          next = tokenEnd(bytes, at, end);
          if (next < 0) {
            stop = STOP.FAULT;
            break run;
          }
          if (next > end) break;
          count = partCount(bytes, at);
          opens = tag === 116 ? FRAME.MAP : tag === 112 || tag === 67 ? FRAME.BOUND : FRAME.PLAIN;
      }
      if (next > end) break;
      if (count > 0) {
        // a record without fields is no container
        if (depth >= maxDepth && (tag !== 67 || depth > maxDepth)) {
          stop = STOP.FAULT;
          break;
        }
        lefts[depth] = left;
        depth++;
        left = count;
        kind = opens;
        kinds[depth] = kind;
        starts[depth] = start;
        at = next;
        start = at;
        continue;
      }
      at = next;
      start = at;
      while (--left === 0) {
        if (depth === floor) {
          stop = STOP.CLOSED;
          break run;
        }
        depth--;
        left = lefts[depth] as number;
        kind = kinds[depth] as number;
      }
    }
    lefts[depth] = left;
    this.depth = depth;
    this.at = at;
    this.start = start;
    return stop;
  }
}
