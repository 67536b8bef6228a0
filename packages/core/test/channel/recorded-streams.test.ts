import { readdirSync, readFileSync } from "node:fs";
import { atom, decode, encode, TermReader, TermWriter } from "@isthmus/etf";
import { rewriteTerm } from "@isthmus/etf/raw";
import { describe, expect, it } from "vitest";
import { FrameReader } from "../../src/channel/index.ts";

// Traffic between real nodes, recorded by a proxy: OTP 23 to 29, visible and hidden, with atom caches and fragments.
const folder = new URL("../../../../test/vectors/streams/", import.meta.url);

interface Frame {
  readonly dir: "i>a" | "a>i";
  readonly layer: string;
  readonly b64?: string;
  readonly op?: number | string;
  readonly hdr?: number;
  readonly note?: string;
}
interface Stream {
  readonly name: string;
  readonly file: string;
  readonly initiator: { readonly node: string };
  readonly acceptor: { readonly node: string };
}

const streams = JSON.parse(readFileSync(new URL("index.json", folder), "utf8")) as Stream[];

function framesOf(stream: Stream): Frame[] {
  const text = readFileSync(new URL(stream.file, folder), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Frame);
}

/** The flags that both ends announced, and their names, from the recorded handshake. */
function negotiated(
  frames: readonly Frame[],
): { flags: bigint; names: Record<"i>a" | "a>i", string> } | undefined {
  const flags: bigint[] = [];
  const names: Partial<Record<"i>a" | "a>i", string>> = {};
  for (const { layer, dir, b64 } of frames) {
    if (layer !== "handshake" || b64 === undefined) continue;
    const bytes = Buffer.from(b64, "base64");
    if (bytes[0] !== 78) continue;
    flags.push(bytes.readBigUInt64BE(1));
    const at = dir === "i>a" ? 13 : 17;
    names[dir] = bytes.toString("latin1", at + 2, at + 2 + bytes.readUInt16BE(at));
  }
  const [one, other] = flags;
  if (one === undefined || other === undefined || names["i>a"] === undefined || names["a>i"] === undefined)
    return undefined;
  return { flags: one & other, names: { "i>a": names["i>a"], "a>i": names["a>i"] } };
}

it("has every recorded stream in view", () => {
  expect(
    readdirSync(folder)
      .filter((name) => name.endsWith(".jsonl"))
      .sort(),
  ).toEqual(streams.map(({ file }) => file).sort());
});

const whole = streams
  .map((stream) => [stream.name, stream] as const)
  .filter(([, stream]) => {
    const frames = framesOf(stream);
    return (
      !stream.name.startsWith("dyn") &&
      negotiated(frames) !== undefined &&
      frames.some(({ layer }) => layer === "dist")
    );
  });

describe.each(whole)("recorded stream %s", (_name, stream) => {
  const frames = framesOf(stream);
  const { flags, names } = negotiated(frames)!;

  it("every frame becomes the signal that was noted, with a body that decodes and comes out of the rewriter the same", () => {
    const readers = {
      "i>a": new FrameReader(atom(names["i>a"]), flags),
      "a>i": new FrameReader(atom(names["a>i"]), flags),
    };
    const terms = new TermReader();
    const writer = new TermWriter();
    let signals = 0;
    for (const frame of frames) {
      if (frame.layer !== "dist") continue;
      const bytes = Buffer.from(frame.b64!, "base64");
      const signal = readers[frame.dir].read(bytes, 0, bytes.length);
      // the operation stands on the frame that completes the message
      expect(signal?.op).toEqual(frame.op ?? undefined);
      if (signal === undefined) continue;
      signals++;
      if (signal.bodyEnd === 0) continue;
      terms.reset(signal.bytes, signal.bodyStart, signal.bodyEnd, signal.atomRefs);
      const body = terms.term();
      rewriteTerm(
        signal.bytes,
        signal.bodyStart,
        signal.bodyEnd,
        writer,
        { identity: () => null },
        signal.atomRefs,
      );
      const rewritten = decode(Buffer.concat([Buffer.from([131]), writer.take()]));
      expect(encode(rewritten).equals(encode(body))).toBe(true);
    }
    expect(signals).toBeGreaterThan(10);
  });
});
