import { assertAgreement, seen } from "./support/agreement.ts";
import { decodeVectors, encodeVectors } from "./support/vectors.ts";

/** Terms without version byte: all recorded vectors, and some with atom cache references. */
const vectors: readonly Buffer[] = [
  ...new Set([
    ...encodeVectors.flatMap(({ hex }) => (hex === undefined ? [] : [hex])),
    ...decodeVectors.map(({ hex }) => hex),
    "835852010000000100000002000000075200",
    "836803520052036c00000001520252016a",
    "83740000000252006101520261027400000000",
  ]),
]
  .map((hex) => Buffer.from(hex, "hex").subarray(1))
  .filter(({ length }) => length > 0 && length < 600);
// zlib takes a hundred times as long as all of the rest, so only a few of its vectors
const packed = vectors.filter((bytes) => bytes[0] === 80).slice(0, 8);
const corpus: readonly Buffer[] = [...vectors.filter((bytes) => bytes[0] !== 80), ...packed];

const TAGS = [
  67, 70, 77, 80, 82, 88, 89, 90, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112,
  113, 114, 115, 116, 117, 118, 119, 120, 121,
];

/** Small and fast, with a seed, so that a failure can be repeated (mulberry32). */
export function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/**
 * Makes `count` damaged, spliced and grown terms and asserts that all readers agree on each.
 * @returns how many of them were valid
 */
export function fuzz(count: number, seed: number): { readonly accepted: number; readonly refused: number } {
  const random = generator(seed);
  const before = { ...seen };
  for (let i = 0; i < count; i++) assertAgreement(input(random));
  return { accepted: seen.accepted - before.accepted, refused: seen.refused - before.refused };
}

/** One such term. */
export function input(random: (below: number) => number): Buffer {
  switch (random(8)) {
    case 0:
      return truncated(pick(random), random);
    case 1:
      return spliced(pick(random), pick(random), random);
    case 2:
      return Buffer.concat([pick(random), pick(random)]);
    case 3:
      return grown(random, 0);
    case 4:
      return damaged(grown(random, 0), random);
    default:
      return damaged(pick(random), random);
  }
}

function pick(random: (below: number) => number): Buffer {
  return corpus[random(corpus.length)] as Buffer;
}

function truncated(bytes: Buffer, random: (below: number) => number): Buffer {
  return bytes.subarray(0, random(bytes.length + 1));
}

function spliced(a: Buffer, b: Buffer, random: (below: number) => number): Buffer {
  return Buffer.concat([a.subarray(0, random(a.length + 1)), b.subarray(random(b.length))]);
}

/** One to four bytes changed, mostly to values that mean something. */
function damaged(bytes: Buffer, random: (below: number) => number): Buffer {
  const copy = Buffer.from(bytes);
  for (let left = 1 + random(4); left > 0 && copy.length > 0; left--) {
    const at = random(copy.length);
    switch (random(4)) {
      case 0:
        copy[at] = TAGS[random(TAGS.length)] as number;
        break;
      case 1:
        copy[at] = (copy[at] as number) ^ (1 << random(8));
        break;
      case 2:
        copy[at] = random(4);
        break;
      default:
        copy[at] = random(256);
    }
  }
  return copy;
}

/** A container around other inputs: most are valid, and keys repeat now and then. */
function grown(random: (below: number) => number, depth: number): Buffer {
  const count = random(4);
  const parts: Buffer[] = [];
  const add = (terms: number) => {
    for (let i = 0; i < terms; i++)
      parts.push(depth < 4 && random(3) === 0 ? grown(random, depth + 1) : pick(random));
  };
  switch (random(4)) {
    case 0:
      parts.push(Buffer.from([104, count]));
      add(count);
      break;
    case 1:
      parts.push(Buffer.from([108, 0, 0, 0, count]));
      add(count);
      if (random(3) === 0) add(1);
      else parts.push(Buffer.from([106]));
      break;
    case 2:
      parts.push(Buffer.from([116, 0, 0, 0, count]));
      add(count * 2);
      break;
    default:
      parts.push(
        Buffer.from([
          112,
          0,
          0,
          0,
          0,
          count,
          ...Buffer.alloc(16, depth),
          0,
          0,
          0,
          count,
          0,
          0,
          0,
          count,
          119,
          1,
          109,
        ]),
        Buffer.from("610161025877036e406800000001000000020000000a", "hex"),
      );
      add(count);
  }
  return Buffer.concat(parts);
}
