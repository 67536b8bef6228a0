import { createSocket } from "node:dgram";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { DnsQuery } from "../../src/dns/resolver.ts";
import { type WireResolverOptions, wireResolver } from "../../src/dns/wire-resolver.ts";
import { addressesTo, answerTo, NameServer, type Script } from "./name-server.ts";

const TRUNCATED = 0x0200;
const SERVFAIL = 2;
const REFUSED = 5;

let ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends) end();
  ends = [];
});

async function server(script: Script): Promise<NameServer> {
  const started = await NameServer.start(script);
  ends.push(() => started.stop());
  return started;
}

const resolve = (
  servers: readonly NameServer[],
  options: WireResolverOptions = {},
  query: Partial<DnsQuery> = {},
) =>
  wireResolver({ servers: servers.map(({ address }) => address), timeoutMs: 5000, ...options }).resolve({
    name: "nodes.beam.test",
    type: "A",
    search: false,
    signal: new AbortController().signal,
    ...query,
  });

const found = (...addresses: string[]) =>
  expect.objectContaining({
    outcome: "found",
    records: addresses.map((address) => ({ type: "A", address })),
  });

describe("over UDP", () => {
  it("forged and broken answers are passed over, the right one is taken", async () => {
    const hostile = await server((query) => {
      const right = addressesTo(query, ["10.0.0.1"]);
      const wrongId = Buffer.from(right);
      wrongId.writeUInt16BE((query.packet.id! + 1) & 0xffff);
      return [
        Buffer.alloc(0),
        Buffer.from("garbage"),
        Buffer.alloc(4000, 0xc0),
        wrongId,
        right.subarray(0, right.length - 2),
        answerTo(query, { questions: [{ name: "evil.test", type: "A" }] }),
        answerTo(query, { questions: [] }),
        right,
      ];
    });
    expect(await resolve([hostile])).toEqual(found("10.0.0.1"));
  });

  it("answers from another port are not seen", async () => {
    const forger = createSocket("udp4");
    ends.push(() => forger.close());
    const real: NameServer = await server((query) => {
      if (real.queries.length > 1) return [addressesTo(query, ["10.0.0.1"])];
      forger.send(addressesTo(query, ["10.6.6.6"]), query.port, "127.0.0.1");
      return [];
    });
    expect(await resolve([real], { timeoutMs: 200, attempts: 10 })).toEqual(found("10.0.0.1"));
  });

  it("only wrong answers are no answer, and the error says so", async () => {
    const liar = await server((query) => [answerTo(query, { id: (query.packet.id! + 1) & 0xffff })]);
    const asked = resolve([liar], { timeoutMs: 1000, attempts: 1 });
    await expect(asked).rejects.toMatchObject({ code: "DISCOVERY_FAILED", context: { reason: "timeout" } });
    await expect(asked).rejects.toThrow("(1 messages were not answers to the query)");
  });

  it("each query has its own port, and says how long an answer may be", async () => {
    const plain = await server((query) => [addressesTo(query, ["10.0.0.1"])]);
    for (let i = 0; i < 8; i++) await resolve([plain]);
    await resolve([plain], { ednsSize: 4096 });
    await resolve([plain], { ednsSize: 0 });
    expect(new Set(plain.queries.map(({ port }) => port)).size).toBeGreaterThan(4);
    const sizes = plain.queries.map(({ packet }) => {
      const [opt] = packet.additionals ?? [];
      return opt?.type === "OPT" ? opt.udpPayloadSize : 0;
    });
    expect(sizes).toEqual([...new Array<number>(8).fill(1232), 4096, 0]);
    expect(plain.queries.every(({ packet }) => packet.flag_rd)).toBe(true);
  });

  it("a server that does not know EDNS is asked again without", async () => {
    const old = await server((query) =>
      query.packet.additionals!.length > 0
        ? [answerTo(query, { flags: 1, questions: [] })]
        : [addressesTo(query, ["10.0.0.1"])],
    );
    expect(await resolve([old])).toEqual(found("10.0.0.1"));
    expect(old.queries).toHaveLength(2);
  });
});

describe("several servers", () => {
  it("the next is asked when one says that it cannot; that one is not asked again", async () => {
    const failing = await server((query) => [answerTo(query, { flags: SERVFAIL })]);
    const good = await server((query) => [addressesTo(query, ["10.0.0.1"])]);
    expect(await resolve([failing, good])).toEqual(found("10.0.0.1"));
    expect(failing.queries).toHaveLength(1);
  });

  it("a negative answer is an answer: the next is not asked", async () => {
    const first = await server((query) => [answerTo(query, { flags: 3 })]);
    const second = await server((query) => [addressesTo(query, ["10.0.0.1"])]);
    expect(await resolve([first, second])).toMatchObject({ outcome: "nxdomain" });
    expect(second.queries).toHaveLength(0);
  });

  it("silent ones are asked again, and when all is in vain the error tells of each", async () => {
    const silent = await server(() => []);
    const refusing = await server((query) => [answerTo(query, { flags: REFUSED })]);
    const asked = resolve([refusing, silent], { timeoutMs: 500, attempts: 3 });
    await expect(asked).rejects.toMatchObject({ code: "DISCOVERY_FAILED", context: { reason: "timeout" } });
    await expect(asked).rejects.toThrow(
      `127.0.0.1:${refusing.address.port} answered REFUSED; 127.0.0.1:${silent.address.port} did not answer within 500 ms, 3 times`,
    );
    expect(refusing.queries).toHaveLength(1);
    expect(silent.queries).toHaveLength(3);
  });

  it("a lost datagram is asked for again", async () => {
    const lossy: NameServer = await server((query) =>
      lossy.queries.length < 3 ? [] : [addressesTo(query, ["10.0.0.1"])],
    );
    expect(await resolve([lossy], { timeoutMs: 100, attempts: 10 })).toEqual(found("10.0.0.1"));
  });

  it("a referral is not taken for an empty answer", async () => {
    const lame = await server((query) => [
      answerTo(query, { authorities: [{ type: "NS", name: "test", ttl: 5, data: "ns.test" }] }),
    ]);
    await expect(resolve([lame])).rejects.toMatchObject({ context: { reason: "referral" } });
  });
});

describe("over TCP", () => {
  const truncated: Script = (query) =>
    query.over === "udp"
      ? [answerTo(query, { flags: TRUNCATED })]
      : [addressesTo(query, ["10.0.0.1", "10.0.0.2"])];

  it("comes what was truncated, also byte by byte", async () => {
    const large = await server(truncated);
    expect(await resolve([large])).toEqual(found("10.0.0.1", "10.0.0.2"));
    large.tcpWrite = (socket, framed) => {
      socket.setNoDelay(true);
      const next = (at: number): void => {
        if (at < framed.length) socket.write(framed.subarray(at, at + 1), () => setImmediate(next, at + 1));
      };
      next(0);
    };
    expect(await resolve([large])).toEqual(found("10.0.0.1", "10.0.0.2"));
    expect(large.queries.map(({ over }) => over)).toEqual(["udp", "tcp", "udp", "tcp"]);
  });

  it.each<[string, string, NameServer["tcpWrite"]]>([
    ["is cut off", "invalid", (socket, framed) => socket.end(framed.subarray(0, 10))],
    ["is not there", "invalid", (socket) => socket.end()],
    ["is reset", "unreachable", (socket) => socket.resetAndDestroy()],
    ["never ends", "timeout", (socket, framed) => socket.write(framed.subarray(0, -1))],
    ["is garbage", "invalid", (socket) => socket.write(Buffer.alloc(70_000, 0xff))],
    ["is empty", "invalid", (socket) => socket.write(Buffer.alloc(2))],
  ])("an answer that %s is a failure: %s", async (_, reason, tcpWrite) => {
    const broken = await server(truncated);
    broken.tcpWrite = tcpWrite;
    const asked = resolve([broken], { timeoutMs: reason === "timeout" ? 100 : 5000, attempts: 1 });
    await expect(asked).rejects.toMatchObject({ code: "DISCOVERY_FAILED", context: { reason } });
  });

  it("an answer that is truncated there too is a failure", async () => {
    const strange = await server((query) => [answerTo(query, { flags: TRUNCATED })]);
    await expect(resolve([strange])).rejects.toMatchObject({ context: { reason: "invalid" } });
  });
});

describe("aliases", () => {
  it("are followed by new queries", async () => {
    const partial = await server((query) =>
      query.name === "nodes.beam.test"
        ? [answerTo(query, { answers: [{ type: "CNAME", name: query.name, ttl: 4, data: "far.test" }] })]
        : [addressesTo(query, ["10.0.0.1"], 60)],
    );
    expect(await resolve([partial])).toMatchObject({ outcome: "found", ttlMs: 4000 });
    expect(partial.queries.map(({ name }) => name)).toEqual(["nodes.beam.test", "far.test"]);
  });

  it("without an end are given up", async () => {
    const endless: NameServer = await server((query) => {
      const data = `n${endless.queries.length}.test`;
      return [answerTo(query, { answers: [{ type: "CNAME", name: query.name, ttl: 4, data }] })];
    });
    await expect(resolve([endless])).rejects.toMatchObject({ context: { reason: "alias_loop" } });
    expect(endless.queries.length).toBeLessThan(20);
  });
});

describe("the search list", () => {
  function resolvConf(text: string): string {
    const folder = mkdtempSync(join(tmpdir(), "resolv-"));
    ends.push(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "resolv.conf");
    writeFileSync(path, text);
    return path;
  }
  const asked = (started: NameServer) => started.queries.map(({ name }) => name);
  const conf = "search a.test b.test\noptions ndots:2\n";

  it("is gone through until there is an answer", async () => {
    const knowing = await server((query) =>
      query.name === "shop.b.test" ? [addressesTo(query, ["10.0.0.1"])] : [answerTo(query, { flags: 3 })],
    );
    const options = { resolvConf: resolvConf(conf) };
    expect(await resolve([knowing], options, { name: "shop", search: true })).toEqual(found("10.0.0.1"));
    expect(asked(knowing)).toEqual(["shop.a.test", "shop.b.test"]);
  });

  it("is left alone by names that are exact, and by those with a final dot", async () => {
    const ignorant = await server((query) => [answerTo(query, { flags: 3 })]);
    const options = { resolvConf: resolvConf(conf) };
    expect(await resolve([ignorant], options, { name: "shop" })).toMatchObject({ outcome: "nxdomain" });
    await resolve([ignorant], options, { name: "shop.", search: true });
    expect(asked(ignorant)).toEqual(["shop", "shop"]);
  });

  it("with a failure on the way is a failure unless a later name is found; NODATA outweighs NXDOMAIN", async () => {
    const options = { resolvConf: resolvConf(conf) };
    const troubled = await server((query) => {
      if (query.name === "shop.a.test") return [answerTo(query, { flags: SERVFAIL })];
      return query.name === "shop" ? [addressesTo(query, ["10.0.0.1"])] : [answerTo(query, { flags: 3 })];
    });
    expect(await resolve([troubled], options, { name: "shop", search: true })).toEqual(found("10.0.0.1"));
    const failing = resolve([troubled], options, { name: "other", search: true });
    expect(await failing).toMatchObject({ outcome: "nxdomain" });
    troubled.script = (query) => [answerTo(query, { flags: query.name === "x.a.test" ? SERVFAIL : 3 })];
    const unsure = resolve([troubled], options, { name: "x", search: true });
    await expect(unsure).rejects.toMatchObject({ context: { name: "x.a.test", reason: "servfail" } });
    troubled.script = (query) => [answerTo(query, { flags: query.name === "x.a.test" ? 0 : 3 })];
    expect(await resolve([troubled], options, { name: "x", search: true })).toMatchObject({
      outcome: "nodata",
    });
  });

  it("and the servers come from the file, as it is at that moment", async () => {
    const one = await server((query) => [addressesTo(query, ["10.0.0.1"])]);
    const two = await server((query) => [addressesTo(query, ["10.0.0.2"])]);
    const line = ({ address }: NameServer) => `nameserver ${address.host}:${address.port}\n`;
    const path = resolvConf(line(one));
    const resolver = wireResolver({ resolvConf: path });
    const query = { name: "shop", type: "A", search: false, signal: new AbortController().signal } as const;
    expect(await resolver.resolve(query)).toEqual(found("10.0.0.1"));
    writeFileSync(path, `# changed\n${line(two)}`);
    expect(await resolver.resolve(query)).toEqual(found("10.0.0.2"));
  });
});

it("an aborted query ends at once, also in the middle of TCP, and one that was aborted before is never sent", async () => {
  const silent = await server((query) =>
    query.over === "udp" ? [answerTo(query, { flags: TRUNCATED })] : [],
  );
  const abort = new AbortController();
  const asked = resolve([silent], {}, { signal: abort.signal });
  while (silent.queries.length < 2) await new Promise(setImmediate);
  abort.abort(new Error("enough"));
  await expect(asked).rejects.toThrow("enough");
  await expect(resolve([silent], {}, { signal: abort.signal })).rejects.toThrow("enough");
  expect(silent.queries).toHaveLength(2);
});

it("a closed port is known at once", async () => {
  const probe = createServer().listen(0, "127.0.0.1");
  await new Promise((done) => probe.once("listening", done));
  const { port } = probe.address() as { port: number };
  await new Promise((done) => probe.close(done));
  const asked = wireResolver({ servers: [{ host: "127.0.0.1", port }], timeoutMs: 60_000 }).resolve({
    name: "nodes.beam.test",
    type: "A",
    search: false,
    signal: new AbortController().signal,
  });
  await expect(asked).rejects.toMatchObject({ context: { reason: "unreachable" } });
});

it.each(["255.255.255.255", "fe80::1%nowhere0"])(
  "%s, which cannot be sent to at all, is a failure",
  async (host) => {
    const asked = wireResolver({ servers: [{ host, port: 53 }], timeoutMs: 60_000 }).resolve({
      name: "nodes.beam.test",
      type: "A",
      search: false,
      signal: new AbortController().signal,
    });
    await expect(asked).rejects.toMatchObject({
      code: "DISCOVERY_FAILED",
      context: { reason: "unreachable" },
    });
  },
);
