import { type Answer, encode, type Packet } from "dns-packet";
import { describe, expect, it } from "vitest";
import { queryMessage, type ReplyMessage, readReply } from "../../src/dns/message.ts";
import type { DnsRecordType } from "../../src/dns/resolver.ts";

const TRUNCATED = 0x0200;
const NXDOMAIN = 3;

/** What an answer with these fields means to a query for the A records of `nodes.beam.test`. */
function read(packet: Partial<Packet>, type: DnsRecordType = "A"): ReplyMessage {
  const query = queryMessage("nodes.beam.test", type, 1232);
  const questions = [{ name: "nodes.beam.test", type, class: "IN" as const }];
  return readReply(query, encode({ type: "response", id: query.id, questions, ...packet }));
}

const a = (name: string, data: string, ttl = 60): Answer => ({ type: "A", class: "IN", name, ttl, data });
const cname = (name: string, data: string, ttl = 60): Answer => ({
  type: "CNAME",
  class: "IN",
  name,
  ttl,
  data,
});
const soa: Answer = {
  type: "SOA",
  name: "beam.test",
  ttl: 30,
  data: { mname: "ns.beam.test", rname: "admin.beam.test", serial: 1, minimum: 10 },
};

describe("a reply", () => {
  it("gives the records of the name and type that were asked for, and no others", () => {
    const answers = [
      a("nodes.beam.test", "10.0.0.1", 60),
      a("NODES.beam.TEST", "10.0.0.2", 20),
      a("evil.test", "10.6.6.6"),
      { type: "A", class: "CH", name: "nodes.beam.test", ttl: 1, data: "10.7.7.7" } as const,
      { type: "TXT", name: "nodes.beam.test", ttl: 1, data: "text" } as const,
    ];
    expect(read({ answers })).toEqual({
      kind: "found",
      records: [
        { type: "A", address: "10.0.0.1" },
        { type: "A", address: "10.0.0.2" },
      ],
      ttl: 20,
    });
  });

  it("leads through aliases, in any order, and takes the shortest TTL", () => {
    const answers = [
      a("c.beam.test", "10.0.0.1", 50),
      cname("b.beam.test", "c.beam.test", 9),
      cname("nodes.beam.test", "b.beam.test", 40),
    ];
    expect(read({ answers })).toMatchObject({ kind: "found", ttl: 9 });
  });

  it("that ends in an alias alone is followed up, unless it says that there is nothing more", () => {
    const answers = [cname("nodes.beam.test", "far.test", 9)];
    expect(read({ answers })).toEqual({ kind: "alias", target: "far.test", ttl: 9, hops: 1 });
    expect(read({ answers, authorities: [soa] })).toEqual({ kind: "nodata", ttl: 9 });
    expect(read({ answers, flags: NXDOMAIN, authorities: [soa] })).toEqual({ kind: "nxdomain", ttl: 9 });
  });

  it("with aliases in a circle, or a chain of hundreds, is no answer", () => {
    const circle = [cname("nodes.beam.test", "b.test"), cname("b.test", "nodes.beam.test")];
    expect(read({ answers: circle })).toEqual({ kind: "alias_loop" });
    const chain = Array.from({ length: 300 }, (_, i) =>
      cname(i === 0 ? "nodes.beam.test" : `n${i}.test`, `n${i + 1}.test`),
    );
    expect(read({ answers: chain })).toEqual({ kind: "alias_loop" });
  });

  it("says that there is nothing: the negative TTL is the lesser of the SOA's two", () => {
    expect(read({ authorities: [soa] })).toEqual({ kind: "nodata", ttl: 10 });
    expect(read({ flags: NXDOMAIN, authorities: [soa] })).toEqual({ kind: "nxdomain", ttl: 10 });
    expect(read({})).toEqual({ kind: "nodata", ttl: undefined });
  });

  it("that only names other servers is a referral, not an empty answer", () => {
    const authorities: Answer[] = [{ type: "NS", name: "test", ttl: 60, data: "ns.test" }];
    expect(read({ authorities })).toEqual({ kind: "referral" });
  });

  it.each([
    [1, "FORMERR"],
    [2, "SERVFAIL"],
    [4, "NOTIMP"],
    [5, "REFUSED"],
    [9, "NOTAUTH"],
  ])("with code %d is the error %s, also without records of a name", (flags, rcode) => {
    expect(read({ flags, answers: [a("nodes.beam.test", "10.0.0.1")] })).toEqual({ kind: "error", rcode });
  });

  it("may leave the question out when it is an error, and only then", () => {
    expect(read({ flags: 1, questions: [] })).toEqual({ kind: "error", rcode: "FORMERR" });
    expect(read({ questions: [], answers: [a("nodes.beam.test", "10.0.0.1")] })).toEqual({ kind: "foreign" });
    expect(read({ flags: NXDOMAIN, questions: [] })).toEqual({ kind: "foreign" });
  });

  it("is foreign with another question, another class, two questions, as a query, and with another id", () => {
    const question = { name: "nodes.beam.test", type: "A", class: "IN" } as const;
    const answers = [a("nodes.beam.test", "10.0.0.1")];
    expect(read({ answers, questions: [{ ...question, name: "other.beam.test" }] }).kind).toBe("foreign");
    expect(read({ answers, questions: [{ ...question, type: "AAAA" }] }).kind).toBe("foreign");
    expect(read({ answers, questions: [{ ...question, class: "CH" }] }).kind).toBe("foreign");
    expect(read({ answers, questions: [question, question] }).kind).toBe("foreign");
    expect(read({ answers, type: "query" }).kind).toBe("foreign");
    const query = queryMessage("nodes.beam.test", "A", 0);
    const late = encode({ type: "response", id: (query.id + 1) & 0xffff, questions: [question], answers });
    expect(readReply(query, late).kind).toBe("foreign");
  });

  it("that was truncated is known as such though it ends inside a record", () => {
    const query = queryMessage("nodes.beam.test", "A", 0);
    const questions = [{ name: "nodes.beam.test", type: "A", class: "IN" }] as const;
    const answers = [a("nodes.beam.test", "10.0.0.1"), a("nodes.beam.test", "10.0.0.2")];
    const whole = encode({
      type: "response",
      id: query.id,
      flags: TRUNCATED,
      questions: [...questions],
      answers,
    });
    expect(readReply(query, whole.subarray(0, -3))).toEqual({ kind: "truncated" });
  });

  it("of any bytes at all does not throw and does not hang", () => {
    const query = queryMessage("nodes.beam.test", "A", 0);
    const good = encode({
      type: "response",
      id: query.id,
      questions: [{ name: "nodes.beam.test", type: "A" }],
      answers: [a("nodes.beam.test", "10.0.0.1"), cname("b.test", "c.test")],
      authorities: [soa],
    });
    expect(readReply(query, good).kind).toBe("found");
    const kinds = new Set<string>();
    for (let cut = 0; cut < good.length; cut++) kinds.add(readReply(query, good.subarray(0, cut)).kind);
    expect(kinds).toEqual(new Set(["foreign"]));
    // every byte after the id, with values of every kind
    for (let at = 2; at < good.length; at++) {
      for (const value of [0, 1, 2, 12, 63, 64, 127, 128, 191, 192, 193, 254, 255]) {
        const bytes = Buffer.from(good);
        bytes[at] = value;
        expect(readReply(query, bytes).kind).toBeTypeOf("string");
      }
    }
  });

  it("of 64 KiB of names that point to pointers which point to pointers is refused unread", () => {
    const query = queryMessage("nodes.beam.test", "A", 0);
    const head = encode({
      type: "response",
      id: query.id,
      questions: [{ name: "nodes.beam.test", type: "A" }],
    });
    // a record of an unknown type full of pointers, each to the one before it, then records named by the last
    const first = Buffer.from([0xc0, 12, 0xff, 0, 0, 1, 0, 0, 0, 1, 0x3e, 0x80]);
    const base = head.length + first.length;
    const pointers = Buffer.alloc(0x3e80);
    for (let i = 0; i < pointers.length; i += 2) {
      pointers.writeUInt16BE(0xc000 | (i === 0 ? 12 : base + i - 2), i);
    }
    const last = base + pointers.length - 2;
    const record = Buffer.from([0xc0 | (last >> 8), last & 0xff, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4]);
    const count = Math.floor((65_535 - base - pointers.length) / record.length);
    const bytes = Buffer.concat([head, first, pointers, ...new Array<Buffer>(count).fill(record)]);
    bytes.writeUInt16BE(count + 1, 6);
    expect(readReply(query, bytes)).toEqual({ kind: "foreign" });
  });

  it("of thousands of addresses that look like pointers is read", () => {
    const data = Array.from({ length: 3500 }, (_, i) => `192.${192 + (i % 64)}.${192 + (i >> 6)}.${i % 256}`);
    const query = queryMessage("nodes.beam.test", "A", 0);
    const questions = [{ name: "nodes.beam.test", type: "A", class: "IN" }] as const;
    const answers = data.map((one) => a("nodes.beam.test", one));
    const whole = encode({ type: "response", id: query.id, questions: [...questions], answers });
    // as servers write it: the owner is a pointer to the question
    const owner = Buffer.from([
      5,
      ...Buffer.from("nodes"),
      4,
      ...Buffer.from("beam"),
      4,
      ...Buffer.from("test"),
      0,
    ]);
    const end = whole.indexOf(owner) + owner.length;
    const parts = [whole.subarray(0, end)];
    for (let at = end, next = end; next >= 0; at = next + owner.length) {
      next = whole.indexOf(owner, at);
      parts.push(
        whole.subarray(at, next < 0 ? undefined : next),
        ...(next < 0 ? [] : [Buffer.from([0xc0, 12])]),
      );
    }
    const bytes = Buffer.concat(parts);
    expect(bytes.length).toBe(12 + owner.length + 4 + data.length * 16);
    const reply = readReply(query, bytes);
    expect(reply.kind === "found" && reply.records.length).toBe(3500);
  });

  it("has addresses as Erlang prints them, and TTLs that make sense", () => {
    const aaaa = (data: string, ttl: number): Answer => ({
      type: "AAAA",
      name: "nodes.beam.test",
      ttl,
      data,
    });
    const answers = [aaaa("1:0:0:2:0:0:0:3", 0xffff_ffff), aaaa("FD00:0:0:0:0:0:0:1", 5)];
    expect(read({ answers }, "AAAA")).toEqual({
      kind: "found",
      records: [
        { type: "AAAA", address: "1:0:0:2::3" },
        { type: "AAAA", address: "fd00::1" },
      ],
      ttl: 0,
    });
    expect(read({ answers: [a("nodes.beam.test", "10.0.0.1", 0x7fff_ffff)] })).toMatchObject({
      ttl: 604_800,
    });
  });

  it("has only SRV targets that can be names", () => {
    const srv = (target: string): Answer => ({
      type: "SRV",
      name: "nodes.beam.test",
      ttl: 5,
      data: { target, port: 4370, priority: 1, weight: 2 },
    });
    const answers = [srv("."), srv("a b.test"), srv("a@b.test"), srv("shop-0.shop.test.")];
    expect(read({ answers }, "SRV")).toEqual({
      kind: "found",
      records: [{ type: "SRV", target: "shop-0.shop.test", port: 4370, priority: 1, weight: 2 }],
      ttl: 5,
    });
    expect(read({ answers: [srv(".")] }, "SRV")).toMatchObject({ kind: "nodata" });
  });
});

it("ids are not in order", () => {
  const ids = Array.from({ length: 20 }, () => queryMessage("a.test", "A", 0).id);
  expect(new Set(ids).size).toBeGreaterThan(10);
  const steps = new Set(ids.slice(1).map((id, i) => id - ids[i]!));
  expect(steps.size).toBeGreaterThan(10);
});
