import { expect } from "vitest";

/** Cuts of `bytes`: whole, byte by byte, and random ones, which the seeds reproduce. */
export function cuts(bytes: Buffer): { readonly how: string; readonly chunks: Buffer[] }[] {
  const one = [...bytes].map((byte) => Buffer.of(byte));
  const random = [1, 2, 3, 4, 5].map((seed) => ({ how: `random ${seed}`, chunks: randomCut(bytes, seed) }));
  return [{ how: "whole", chunks: [bytes] }, { how: "byte by byte", chunks: one }, ...random];
}

function randomCut(bytes: Buffer, seed: number): Buffer[] {
  const chunks: Buffer[] = [];
  let state = seed * 2654435761;
  for (let at = 0; at < bytes.length; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const length = 1 + (state % 7);
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  return chunks;
}

/** Feeds all chunks; every one but the last must give nothing. */
export function feed<T>(
  chunks: readonly Buffer[],
  push: (chunk: Buffer) => T,
  nothing: (given: T) => boolean,
): T {
  for (const chunk of chunks.slice(0, -1)) expect(nothing(push(chunk))).toBe(true);
  return push(chunks.at(-1)!);
}

/** A request with its length in front. */
export function framed(body: string | Buffer): Buffer {
  const bytes = typeof body === "string" ? Buffer.from(body, "utf8") : body;
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
