import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Knot, startKnot } from "../../../../test/support/knot.ts";
import type { DnsRecordType } from "../../src/dns/resolver.ts";
import { systemResolver } from "../../src/dns/system-resolver.ts";
import { wireResolver } from "../../src/dns/wire-resolver.ts";

// what a real name server says about records, changes, negative answers, large ones and aliases
let knot: Knot;
beforeAll(async () => {
  knot = await startKnot({
    records: [
      "nodes 7 A 127.0.0.11",
      "nodes 7 A 127.0.0.12",
      "nodes 9 AAAA fd00::1:0:0:0:3",
      "_app._tcp 8 SRV 0 10 4370 a",
      "_app._tcp 8 SRV 5 20 4371 b.beam.test.",
      "a 5 A 127.0.0.11",
      "b 5 A 127.0.0.12",
      "alias 3 CNAME second",
      "second 30 CNAME nodes",
      "astray 3 CNAME nodes.elsewhere.test.",
      "dangling 3 CNAME nothing",
      "circle 3 CNAME elcric",
      "elcric 3 CNAME circle",
      ...Array.from({ length: 200 }, (_, i) => `many 5 A 127.1.0.${i + 1}`),
    ],
  });
});
afterAll(() => knot?.stop());

const address = () => ({ host: knot.host, port: knot.port });
const ask = (name: string, type: DnsRecordType, options = {}) =>
  wireResolver({ servers: [address()], timeoutMs: 3000, ...options }).resolve({
    name,
    type,
    search: false,
    signal: new AbortController().signal,
  });
const addresses = (records: readonly object[]) =>
  records.map((record) => ("address" in record ? record.address : record)).sort();

describe("the wire resolver with a real name server", () => {
  it("A and AAAA with their TTL, addresses as Erlang prints them", async () => {
    const a = await ask("nodes.beam.test", "A");
    expect(addresses(a.records)).toEqual(["127.0.0.11", "127.0.0.12"]);
    expect(a).toMatchObject({ outcome: "found", ttlMs: 7000 });
    expect(await ask("NODES.Beam.test.", "AAAA")).toEqual({
      outcome: "found",
      records: [{ type: "AAAA", address: "fd00:0:0:1::3" }],
      ttlMs: 9000,
    });
  });

  it("SRV", async () => {
    const { records, ttlMs } = await ask("_app._tcp.beam.test", "SRV");
    expect(ttlMs).toBe(8000);
    expect(records).toHaveLength(2);
    expect(records).toContainEqual({
      type: "SRV",
      target: "a.beam.test",
      port: 4370,
      priority: 0,
      weight: 10,
    });
    expect(records).toContainEqual({
      type: "SRV",
      target: "b.beam.test",
      port: 4371,
      priority: 5,
      weight: 20,
    });
  });

  it("tells a name that does not exist from one without such records, with the negative TTL", async () => {
    expect(await ask("nothing.beam.test", "A")).toEqual({ outcome: "nxdomain", records: [], ttlMs: 2000 });
    expect(await ask("a.beam.test", "SRV")).toEqual({ outcome: "nodata", records: [], ttlMs: 2000 });
  });

  it("follows aliases; the shortest TTL counts", async () => {
    const { records, ttlMs } = await ask("alias.beam.test", "A");
    expect(addresses(records)).toEqual(["127.0.0.11", "127.0.0.12"]);
    expect(ttlMs).toBe(3000);
    expect(await ask("dangling.beam.test", "A")).toMatchObject({ outcome: "nxdomain" });
  });

  it("aliases in a circle, and a server that knows nothing of the target, are failures", async () => {
    await expect(ask("circle.beam.test", "A")).rejects.toMatchObject({
      code: "DISCOVERY_FAILED",
      context: { reason: "alias_loop" },
    });
    await expect(ask("astray.beam.test", "A")).rejects.toMatchObject({
      code: "DISCOVERY_FAILED",
      context: { name: "nodes.elsewhere.test", reason: "refused" },
    });
  });

  it.each([0, 512, 1232])("200 addresses come whole, over TCP, with EDNS size %d", async (ednsSize) => {
    const { records } = await ask("many.beam.test", "A", { ednsSize });
    expect(new Set(addresses(records)).size).toBe(200);
  });

  it("200 addresses fit into one datagram when it may be that long", async () => {
    expect((await ask("many.beam.test", "A", { ednsSize: 4096 })).records).toHaveLength(200);
  });

  it("sees changes at once", async () => {
    await knot.change({ set: ["moving 60 A 127.0.0.21", "moving 60 A 127.0.0.22"] });
    expect(addresses((await ask("moving.beam.test", "A")).records)).toEqual(["127.0.0.21", "127.0.0.22"]);
    await knot.change({ unset: ["moving A 127.0.0.21"], set: ["moving 60 A 127.0.0.23"] });
    expect(addresses((await ask("moving.beam.test", "A")).records)).toEqual(["127.0.0.22", "127.0.0.23"]);
    await knot.change({ unset: ["moving A"] });
    expect(await ask("moving.beam.test", "A")).toMatchObject({ outcome: "nxdomain" });
  });

  it("a server that is silent, gone, and back", async () => {
    await knot.pause();
    const silent = ask("nodes.beam.test", "A", { timeoutMs: 50, attempts: 2 });
    await expect(silent).rejects.toMatchObject({ code: "DISCOVERY_FAILED", context: { reason: "timeout" } });
    await expect(silent).rejects.toThrow(`${knot.server} did not answer within 50 ms, 2 times`);
    const abort = new AbortController();
    const aborted = wireResolver({ servers: [address()] }).resolve({
      name: "nodes.beam.test",
      type: "A",
      search: false,
      signal: abort.signal,
    });
    abort.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    knot.resume();
    await knot.stop();
    await expect(ask("nodes.beam.test", "A")).rejects.toMatchObject({ context: { reason: "unreachable" } });
    await knot.start();
    expect((await ask("nodes.beam.test", "A")).records).toHaveLength(2);
  });

  it("another server helps when the first is gone, and when it refuses", async () => {
    const gone = { host: "127.0.0.1", port: 1 };
    const { records } = await ask("nodes.beam.test", "A", { servers: [gone, address()] });
    expect(records).toHaveLength(2);
    const other = await startKnot({ zone: "other.test" });
    const servers = [{ host: other.host, port: other.port }, address()];
    expect((await ask("nodes.beam.test", "A", { servers })).records).toHaveLength(2);
    await other.stop();
  });
});

describe("the resolver of Node.js with a real name server", () => {
  const system = (name: string, type: DnsRecordType) =>
    systemResolver({ servers: [address()] }).resolve({
      name,
      type,
      search: false,
      signal: new AbortController().signal,
    });

  it("gives the same as the wire resolver", async () => {
    for (const [name, type] of [
      ["nodes", "A"],
      ["nodes", "AAAA"],
      ["_app._tcp", "SRV"],
      ["many", "A"],
    ] as const) {
      const [ours, theirs] = await Promise.all([
        ask(`${name}.beam.test`, type),
        system(`${name}.beam.test`, type),
      ]);
      const sorted = (records: readonly object[]) => records.map((record) => JSON.stringify(record)).sort();
      const plain = (records: readonly object[]) =>
        sorted(records.map((record) => Object.fromEntries(Object.entries(record).sort())));
      expect(plain(theirs.records)).toEqual(plain(ours.records));
      if (type !== "SRV") expect(theirs.ttlMs).toBe(ours.ttlMs);
    }
    expect(await system("nothing.beam.test", "A")).toMatchObject({ outcome: "nxdomain", records: [] });
    expect(await system("a.beam.test", "SRV")).toMatchObject({ outcome: "nodata", records: [] });
    await expect(system("nodes.elsewhere.test", "A")).rejects.toMatchObject({ code: "DISCOVERY_FAILED" });
  });

  it("ends when it is aborted", async () => {
    await knot.pause();
    const abort = new AbortController();
    const query = { name: "nodes.beam.test", type: "A", search: false, signal: abort.signal } as const;
    const asked = systemResolver({ servers: [address()] }).resolve(query);
    abort.abort(new Error("enough"));
    await expect(asked).rejects.toThrow("enough");
    knot.resume();
  });
});
