import { describe, expect, it } from "vitest";
import {
  encodeAlive2Reply,
  encodeDumpReply,
  encodeKillReply,
  encodeNamesReply,
  encodePort2Reply,
  encodeStopReply,
} from "../src/replies.ts";
import {
  alive2Format,
  dumpFormat,
  killFormat,
  namesFormat,
  port2Format,
  type ReplyFormat,
  ReplyReader,
  stopFormat,
} from "../src/reply-reader.ts";
import { cuts, feed } from "./support/chunks.ts";
import { codeOf } from "./support/code.ts";

const node = {
  name: Buffer.from("gämma"),
  port: 5004,
  nodeType: 72,
  protocol: 0,
  highVersion: 6,
  lowVersion: 5,
  extra: Buffer.from("xtra"),
};
const sized: [string, ReplyFormat<unknown>, Buffer][] = [
  ["ALIVE2, long", alive2Format, encodeAlive2Reply(6, 77)],
  ["ALIVE2, short", alive2Format, encodeAlive2Reply(5, 77)],
  ["ALIVE2, refused", alive2Format, encodeAlive2Reply(6, undefined)],
  ["PORT2", port2Format, encodePort2Reply(node)],
  ["PORT2, nothing optional", port2Format, encodePort2Reply({ ...node, extra: Buffer.alloc(0) })],
  ["PORT2, unknown", port2Format, encodePort2Reply(undefined)],
  ["KILL", killFormat, encodeKillReply(true)],
];
const untilClosed: [string, ReplyFormat<unknown>, Buffer][] = [
  ["NAMES", namesFormat, encodeNamesReply(4369, [node, node])],
  ["DUMP", dumpFormat, encodeDumpReply(4369, [{ ...node, fd: 1 }], [{ ...node, fd: 2 }])],
  ["STOP", stopFormat, encodeStopReply(false)],
];

describe.each(sized)("a reply of known length: %s", (_, format, bytes) => {
  const expected = { reply: format.decode(bytes) };

  it.each(cuts(bytes))("is complete with its last byte, $how", ({ chunks }) => {
    const reader = new ReplyReader(format);
    expect(
      feed(
        chunks,
        (chunk) => reader.push(chunk),
        (given) => given === undefined,
      ),
    ).toEqual(expected);
    expect(reader.trailing).toBe(0);
  });

  it("counts what comes after it", () => {
    const reader = new ReplyReader(format);
    expect(reader.push(Buffer.concat([bytes, Buffer.from("abc")]))).toEqual(expected);
    expect(reader.trailing).toBe(3);
  });

  it("is nothing, or malformed, when the end comes too early", () => {
    for (let length = 0; length < bytes.length; length++) {
      const reader = new ReplyReader(format);
      expect(reader.push(bytes.subarray(0, length))).toBeUndefined();
      const bare = format === port2Format && length === 12 + node.name.length;
      const expectedCode = length === 0 ? "EPMD_NO_REPLY" : bare ? undefined : "EPMD_REPLY_MALFORMED";
      expect(codeOf(() => reader.end())).toBe(expectedCode);
    }
  });
});

describe.each(untilClosed)("a reply that lasts until epmd closes: %s", (_, format, bytes) => {
  it.each(cuts(bytes))("is complete with the end, $how", ({ chunks }) => {
    const reader = new ReplyReader(format);
    for (const chunk of chunks) expect(reader.push(chunk)).toBeUndefined();
    expect(reader.end()).toEqual({ reply: format.decode(bytes) });
  });

  it("is bounded", () => {
    const reader = new ReplyReader(format, 1000);
    expect(reader.push(Buffer.alloc(1000))).toBeUndefined();
    expect(codeOf(() => reader.push(Buffer.alloc(1)))).toBe("EPMD_REPLY_TOO_LARGE");
  });

  it("needs at least one byte", () => {
    expect(codeOf(() => new ReplyReader(format).end())).toBe("EPMD_NO_REPLY");
  });
});

describe("a hostile reply", () => {
  it.each(sized.map(([name, format]) => [name, format] as const))(
    "is refused at its first byte: %s",
    (_, format) => {
      expect(codeOf(() => new ReplyReader(format).push(Buffer.from("HTTP/1.1 400")))).toBe(
        "EPMD_REPLY_MALFORMED",
      );
    },
  );

  it("is refused by the length it announces, before its bytes come", () => {
    const start = encodePort2Reply(node).subarray(0, 12);
    start.writeUInt16BE(65535, 10);
    expect(codeOf(() => new ReplyReader(port2Format, 4096).push(start))).toBe("EPMD_REPLY_TOO_LARGE");
  });
});
