import { readdirSync, readFileSync } from "node:fs";
import { expect } from "vitest";

const FOLDER = new URL("../../../../test/vectors/streams/", import.meta.url);

/** The cookie of all recordings. */
export const RECORDED_COOKIE = "vectorcookie";

/** One recorded connection: the handshake's payloads in their order, and the first bytes after it. */
export interface Recording {
  readonly name: string;
  readonly frames: readonly { readonly from: "initiator" | "acceptor"; readonly bytes: Buffer }[];
  /** First payload that the acceptor sends on the channel, with its 4-byte length; empty when there is none. */
  readonly afterwards: Buffer;
}

interface Line {
  readonly dir: "i>a" | "a>i";
  readonly layer: string;
  readonly b64?: string;
}

/** Every recording that has a handshake. */
export function recordings(): Recording[] {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith(".jsonl"));
  expect(files.length).toBeGreaterThan(8);
  return files.map((file) => {
    const lines = readFileSync(new URL(file, FOLDER), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Line);
    const first = lines.find((line) => line.layer === "dist" && line.dir === "a>i");
    const payload = Buffer.from(first?.b64 ?? "", "base64");
    const afterwards = Buffer.alloc(first === undefined ? 0 : 4 + payload.length);
    if (first !== undefined) {
      afterwards.writeUInt32BE(payload.length);
      payload.copy(afterwards, 4);
    }
    return {
      name: file.replace(".jsonl", ""),
      frames: lines
        .filter((line) => line.layer === "handshake")
        .map((line) => ({
          from: line.dir === "i>a" ? "initiator" : "acceptor",
          bytes: Buffer.from(line.b64!, "base64"),
        })),
      afterwards,
    };
  });
}

export function recording(name: string): Recording {
  const found = recordings().find((one) => one.name === name);
  if (found === undefined) throw new Error(`There is no recording ${name}.`);
  return found;
}
