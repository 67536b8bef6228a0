import { describe, expect, it } from "vitest";
import {
  decodeAlive2Reply,
  decodeDumpReply,
  decodeKillReply,
  decodeNamesReply,
  decodePort2Reply,
  decodeStopReply,
  encodeAlive2Reply,
  encodeDumpReply,
  encodeKillReply,
  encodeNamesReply,
  encodePort2Reply,
  encodeStopReply,
} from "../src/replies.ts";
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
const malformed = (decode: (reply: Buffer) => unknown, reply: Buffer | string) =>
  expect(codeOf(() => decode(Buffer.from(reply as string)))).toBe("EPMD_REPLY_MALFORMED");

describe("the answer to ALIVE2", () => {
  it("depends on the highest version of the client", () => {
    expect(encodeAlive2Reply(6, 0xfedcba98).toString("hex")).toBe("7600fedcba98");
    expect(encodeAlive2Reply(7, 4).toString("hex")).toBe("760000000004");
    expect(encodeAlive2Reply(6, undefined).toString("hex")).toBe("760100000063");
    expect(encodeAlive2Reply(5, undefined).toString("hex")).toBe("79010063");
  });

  it("folds the creation to 1 to 3 as epmd does", () => {
    const folded = [9, 10, 11, 0xffffffff].map((creation) => encodeAlive2Reply(5, creation).toString("hex"));
    expect(folded).toEqual(["79000001", "79000002", "79000003", "79000001"]);
  });

  it("is read back", () => {
    expect(decodeAlive2Reply(encodeAlive2Reply(6, 0xfedcba98))).toEqual({ ok: true, creation: 0xfedcba98 });
    expect(decodeAlive2Reply(encodeAlive2Reply(5, 10))).toEqual({ ok: true, creation: 2 });
    expect(decodeAlive2Reply(encodeAlive2Reply(6, undefined))).toEqual({ ok: false, result: 1 });
    expect(decodeAlive2Reply(encodeAlive2Reply(0, undefined))).toEqual({ ok: false, result: 1 });
  });

  it.each(["", "v", "x\0\0\0\0\0", "v\0\0\0\0", "v\0\0\0\0\0\0", "y\0\0", "y\0\0\0\0"])(
    "is not %j",
    (reply) => {
      malformed(decodeAlive2Reply, reply);
    },
  );
});

describe("the answer to PORT2", () => {
  it("is read back", () => {
    const reply = encodePort2Reply(node);
    expect(reply.toString("hex")).toBe("7700138c480000060005000667c3a46d6d61000478747261");
    const info = decodePort2Reply(reply);
    expect(info).toEqual({ ...node, name: "gämma", nodeType: "hidden" });
    reply.fill(0);
    expect(info?.extra).toEqual(Buffer.from("xtra"));
    expect(decodePort2Reply(encodePort2Reply(undefined))).toBeUndefined();
    expect(decodePort2Reply(encodePort2Reply({ ...node, nodeType: 77 }))?.nodeType).toBe("normal");
    expect(decodePort2Reply(encodePort2Reply({ ...node, nodeType: 1 }))?.nodeType).toBe(1);
  });

  it("may lack the extra altogether, as for a BEAM", () => {
    const reply = encodePort2Reply({ ...node, extra: Buffer.alloc(0) });
    expect(decodePort2Reply(reply.subarray(0, -2))).toEqual(decodePort2Reply(reply));
  });

  it("is not cut off anywhere else, nor longer", () => {
    const reply = encodePort2Reply(node);
    const bare = 12 + node.name.length;
    for (let length = 0; length < reply.length; length++) {
      if (length !== bare) malformed(decodePort2Reply, reply.subarray(0, length));
    }
    malformed(decodePort2Reply, Buffer.concat([reply, Buffer.of(0)]));
    malformed(decodePort2Reply, "v\0");
  });
});

describe("the answer to NAMES", () => {
  it("is read back", () => {
    const reply = encodeNamesReply(4369, [node, { name: Buffer.from("b"), port: 1 }]);
    expect(reply.toString("latin1")).toBe(
      `\0\0\x11\x11${Buffer.from("name gämma at port 5004\nname b at port 1\n").toString("latin1")}`,
    );
    expect(decodeNamesReply(reply)).toEqual({
      epmdPort: 4369,
      nodes: [
        { name: "gämma", port: 5004 },
        { name: "b", port: 1 },
      ],
    });
    expect(decodeNamesReply(encodeNamesReply(1, []))).toEqual({ epmdPort: 1, nodes: [] });
  });

  it("leaves names with spaces whole and passes over lines that are none", () => {
    const names = ["a at port 1", "", "with\nnewline", "z"];
    const reply = encodeNamesReply(
      1,
      names.map((name) => ({ name: Buffer.from(name), port: 7 })),
    );
    expect(decodeNamesReply(reply).nodes).toEqual([
      { name: "a at port 1", port: 7 },
      { name: "", port: 7 },
      { name: "z", port: 7 },
    ]);
  });

  it("is not cut off: a short list must not pass for a complete one", () => {
    const reply = encodeNamesReply(1, [node]);
    for (const length of [0, 3, 5, reply.length - 1]) malformed(decodeNamesReply, reply.subarray(0, length));
  });
});

describe("the answer to DUMP", () => {
  it("is read back", () => {
    const reply = encodeDumpReply(1, [{ ...node, fd: 5 }], [{ name: Buffer.from("old"), port: 2, fd: -1 }]);
    expect(reply.toString("utf8", 4)).toBe(
      "active name     <gämma> at port 5004, fd = 5\n\0old/unused name <old>, port = 2, fd = -1 \n\0",
    );
    expect(decodeDumpReply(reply)).toEqual({
      epmdPort: 1,
      entries: [
        { name: "gämma", port: 5004, fd: 5, active: true },
        { name: "old", port: 2, fd: -1, active: false },
      ],
    });
  });

  it("is not cut off", () => {
    const reply = encodeDumpReply(1, [{ ...node, fd: 5 }], []);
    for (const length of [0, 3, 5, reply.length - 1]) malformed(decodeDumpReply, reply.subarray(0, length));
    expect(decodeDumpReply(Buffer.from("\0\0\0\x01something else\0")).entries).toEqual([]);
  });
});

describe("a list", () => {
  it("is not what another server says", () => {
    for (const text of ["", "\n", "\0"].map((end) => `HTTP/1.1 400 Bad Request${end}`)) {
      malformed(decodeNamesReply, text);
      malformed(decodeDumpReply, text);
    }
  });
});

describe("the answers to KILL and STOP", () => {
  it("are read back", () => {
    expect(decodeKillReply(encodeKillReply(true))).toBe(true);
    expect(decodeKillReply(encodeKillReply(false))).toBe(false);
    expect(decodeStopReply(encodeStopReply(true))).toBe(true);
    expect(encodeStopReply(false).toString()).toBe("NOEXISTSTOPPED");
    expect(decodeStopReply(encodeStopReply(false))).toBe(false);
  });

  it("are nothing else", () => {
    malformed(decodeKillReply, "O");
    malformed(decodeKillReply, "OKAY");
    malformed(decodeStopReply, "STOP");
  });
});
