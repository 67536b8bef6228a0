import { afterEach, describe, expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { HostFinder, type HostFinderOptions, type HostSource } from "../../src/dns/hosts.ts";
import { type DnsAnswer, type DnsQuery, dnsFailure } from "../../src/dns/resolver.ts";
import { recordingLogger, settled } from "../support/fake-cluster.ts";

/** What the resolver says, by `TYPE name`; "fail" for a failure, "wait" for no answer. */
let zone: Record<string, readonly string[] | "nodata" | "fail" | "wait"> = {};
const asked: string[] = [];
afterEach(() => {
  zone = {};
  asked.length = 0;
});

const resolver = {
  async resolve(query: DnsQuery): Promise<DnsAnswer> {
    const { name, type, signal } = query;
    const key = `${type} ${name}`;
    asked.push(key);
    const value = zone[key];
    if (value === "fail") throw dnsFailure(query, "servfail", "it is down");
    if (value === "wait") {
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    }
    if (value === undefined) return { outcome: "nxdomain", records: [], ttlMs: 2000 };
    if (value === "nodata") return { outcome: "nodata", records: [], ttlMs: 3000 };
    const records = value.map((text) =>
      type === "SRV"
        ? ({ type, target: text, port: 1, priority: 0, weight: 0 } as const)
        : ({ type, address: text } as const),
    );
    return { outcome: "found", records, ttlMs: type === "SRV" ? 1000 : 7000 };
  },
};

function finder(options: Partial<HostFinderOptions> = {}) {
  const logger = recordingLogger();
  const clock = new FakeClock();
  const made = new HostFinder({
    lookup: resolver,
    emptyIsValid: false,
    compat: false,
    logger,
    clock,
    ...options,
  });
  const signal = new AbortController().signal;
  return { logger, clock, find: (sources: readonly HostSource[]) => made.find(sources, signal) };
}

const source = (name: string, types: HostSource["types"] = ["A", "AAAA"]): HostSource => ({
  name,
  types,
  search: false,
  srv: "addresses",
});

describe("the hosts of a name", () => {
  it("are those of all types, and hold as long as the shortest answer", async () => {
    zone = { "A n": ["10.0.0.1"], "AAAA n": ["fd00::1"] };
    const { find } = finder();
    expect(await find([source("n")])).toEqual({ hosts: [["10.0.0.1", "fd00::1"]], ttlMs: 7000 });
  });

  it("are those of one type when the other has none", async () => {
    zone = { "A n": ["10.0.0.1", "10.0.0.1"], "AAAA n": "nodata" };
    const { find, logger } = finder();
    expect(await find([source("n")])).toEqual({ hosts: [["10.0.0.1"]], ttlMs: 3000 });
    zone = { "A n": "nodata", "AAAA n": ["fd00::1"] };
    expect(await find([source("n")])).toMatchObject({ hosts: [["fd00::1"]] });
    expect(logger.lines).toEqual([]);
  });

  it("include what a type gave last while it fails, so that no node is lost", async () => {
    zone = { "A n": ["10.0.0.1"], "AAAA n": ["fd00::1"] };
    const { find, logger } = finder();
    await find([source("n")]);
    zone = { "A n": ["10.0.0.2"], "AAAA n": "fail" };
    expect(await find([source("n")])).toMatchObject({ hosts: [["10.0.0.2", "fd00::1"]] });
    await find([source("n")]);
    expect(
      logger.lines.map(({ level }) => level),
      "said once",
    ).toEqual(["warn"]);
    expect(logger.lines[0]!.message).toContain("The AAAA records of n");
    zone = { "A n": ["10.0.0.2"], "AAAA n": "nodata" };
    expect(await find([source("n")])).toMatchObject({ hosts: [["10.0.0.2"]] });
    expect(logger.lines.map(({ level }) => level)).toEqual(["warn", "info"]);
  });

  it.each([
    ["does not exist", {}, "The name n does not exist."],
    ["has none", { "A n": "nodata", "AAAA n": "nodata" }, "The name n has no A or AAAA records."],
  ] as const)("that %s are a failure", async (_, says, message) => {
    zone = says;
    const { find } = finder();
    await expect(find([source("n")])).rejects.toMatchObject({ code: "DISCOVERY_FAILED" });
    await expect(find([source("n")])).rejects.toThrow(message);
  });

  it("that are none are an empty list when that is valid; a failure is none even then", async () => {
    const { find } = finder({ emptyIsValid: true });
    zone = { "A n": ["10.0.0.1"] };
    await find([source("n")]);
    zone = {};
    expect(await find([source("n")])).toEqual({ hosts: [[]], ttlMs: 2000 });
    zone = { "A n": "nodata", "AAAA n": "fail" };
    await expect(find([source("n")])).rejects.toMatchObject({ context: { reason: "servfail" } });
  });

  it("are none at every failure in compatibility with libcluster", async () => {
    const { find } = finder({ compat: true });
    zone = { "A n": ["10.0.0.1"], "AAAA n": ["fd00::1"] };
    await find([source("n")]);
    zone = { "A n": ["10.0.0.1"], "AAAA n": "fail" };
    expect(await find([source("n")])).toMatchObject({ hosts: [["10.0.0.1"]] });
    zone = { "A n": "fail", "AAAA n": "fail" };
    expect(await find([source("n")])).toMatchObject({ hosts: [[]] });
    zone = {};
    expect(await find([source("n")])).toMatchObject({ hosts: [[]] });
  });
});

describe("several names", () => {
  it("one that fails keeps its hosts, the others go on", async () => {
    zone = { "A a": ["10.0.0.1"], "A b": ["10.0.1.1"] };
    const { find } = finder();
    const sources = [source("a", ["A"]), source("b", ["A"])];
    await find(sources);
    zone = { "A a": ["10.0.0.2"] };
    expect(await find(sources)).toMatchObject({ hosts: [["10.0.0.2"], ["10.0.1.1"]] });
    zone = { "A a": "fail", "A b": "fail" };
    await expect(find(sources)).rejects.toThrow("The A records of a could not be asked for: it is down.");
  });

  it("one that is silent does not keep the others waiting for ever", async () => {
    zone = { "A a": "wait", "A b": ["10.0.1.1"] };
    const { find, clock } = finder();
    const found = find([source("a", ["A"]), source("b", ["A"])]);
    await settled();
    clock.advance(10_000);
    expect(await found).toMatchObject({ hosts: [[], ["10.0.1.1"]] });
    expect(clock.pending).toBe(0);
  });
});

describe("SRV records", () => {
  it("mean the addresses of their targets, IPv6 where there is no IPv4", async () => {
    zone = {
      "SRV n": ["a", "b", "gone", "a"],
      "A a.": ["10.0.0.1"],
      "A b.": "nodata",
      "AAAA b.": ["fd00::2"],
    };
    const { find } = finder();
    expect(await find([source("n", ["SRV"])])).toEqual({ hosts: [["10.0.0.1", "fd00::2"]], ttlMs: 1000 });
    expect(asked.filter((key) => key === "A a.")).toHaveLength(1);
  });

  it("mean their targets themselves where that is wanted", async () => {
    zone = { "SRV n": ["shop-0.shop", "shop-1.shop"] };
    const { find } = finder();
    const names = { ...source("n", ["SRV"]), srv: "name" } as const;
    expect(await find([names])).toMatchObject({ hosts: [["shop-0.shop", "shop-1.shop"]] });
    expect(asked).toEqual(["SRV n"]);
  });

  it("with a target that cannot be asked for are a failure, not fewer nodes", async () => {
    zone = { "SRV n": ["a", "b"], "A a.": ["10.0.0.1"], "A b.": "fail" };
    await expect(finder().find([source("n", ["SRV"])])).rejects.toMatchObject({
      context: { reason: "servfail" },
    });
  });
});

describe("a function in place of a resolver", () => {
  it("gives the hosts", async () => {
    const calls: unknown[] = [];
    const lookup = (name: string, { types }: { types: readonly string[] }) => {
      calls.push([name, types]);
      return ["10.0.0.1"];
    };
    expect(await finder({ lookup }).find([source("n")])).toEqual({ hosts: [["10.0.0.1"]], ttlMs: undefined });
    expect(calls).toEqual([["n", ["A", "AAAA"]]]);
  });

  it("that gives nothing is like a name without records", async () => {
    await expect(finder({ lookup: async () => [] }).find([source("n")])).rejects.toThrow("n has no A");
    expect(await finder({ lookup: () => [], emptyIsValid: true }).find([source("n")])).toMatchObject({
      hosts: [[]],
    });
  });

  it("that throws, gives nonsense, or never ends, fails", async () => {
    const boom = new Error("boom");
    const throwing = () => {
      throw boom;
    };
    await expect(finder({ lookup: throwing }).find([source("n")])).rejects.toMatchObject({
      code: "DISCOVERY_FAILED",
      cause: boom,
    });
    const nonsense = (() => [{ ip: "10.0.0.1" }]) as unknown as () => string[];
    await expect(finder({ lookup: nonsense }).find([source("n")])).rejects.toThrow(
      /must give a list of hosts/,
    );
    const { find, clock } = finder({ lookup: () => new Promise<string[]>(() => undefined) });
    const endless = find([source("n")]);
    await settled();
    clock.advance(10_000);
    await expect(endless).rejects.toMatchObject({ context: { reason: "timeout" } });
  });
});

it("ends when it is aborted, whatever the resolver does", async () => {
  zone = { "A n": "wait" };
  const clock = new FakeClock();
  const abort = new AbortController();
  const options = { emptyIsValid: false, compat: false, logger: recordingLogger(), clock };
  const found = new HostFinder({ lookup: resolver, ...options }).find([source("n", ["A"])], abort.signal);
  await settled();
  abort.abort(new Error("enough"));
  expect(clock.pending).toBe(0);
  await expect(found).rejects.toThrow("enough");
});
