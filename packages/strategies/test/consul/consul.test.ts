import type { Discovery } from "@isthmus/strategies";
import { type ConsulOptions, consul } from "@isthmus/strategies/consul";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { strategyCompliance } from "../compliance.ts";
import { recordingLogger, settled } from "../support/fake-cluster.ts";
import { type FakeConsul, healthEntry, startFakeConsul } from "./fake-consul.ts";

let fake: FakeConsul;
let ends: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  for (const name of ["ADDR", "TOKEN", "SSL"]) vi.stubEnv(`CONSUL_HTTP_${name}`, "");
  fake = await startFakeConsul();
});
afterEach(async () => {
  await Promise.all(ends.map((end) => end()));
  ends = [];
  await fake.close();
  vi.unstubAllEnvs();
});

function start(options: Partial<ConsulOptions> = {}, compat = false) {
  const clock = new FakeClock();
  const reports: Discovery[] = [];
  const logger = recordingLogger();
  const strategy = consul({ baseUrl: fake.url, service: "shop", nodeBasename: "shop", ...options });
  ends.push(() => strategy.stop());
  strategy.start({
    self: "me@10.0.0.1",
    report: (discovery) => void reports.push(discovery),
    logger,
    clock,
    signal: new AbortController().signal,
    compat,
  });
  /** Moves the clock when `count` requests have come in and nothing more happens. */
  const asked = (count: number) => expect.poll(() => fake.seen.length, { interval: 2 }).toBe(count);
  const reported = (count: number) => expect.poll(() => reports.length, { interval: 2 }).toBe(count);
  return { clock, reports, logger, strategy, asked, reported };
}

const entries = (...addresses: string[]) => addresses.map((address) => healthEntry(address));
const nodes = (...hosts: string[]) => ({ ok: true, nodes: hosts.map((host) => `shop@${host}`) });

describe("requests", () => {
  it.each([
    [{}, "/v1/health/service/shop", {}],
    [
      { dc: "eu", filter: "a == b", passing: true },
      "/v1/health/service/shop",
      { dc: "eu", filter: "a == b", passing: "true" },
    ],
    [{ listUsing: ["catalog"], dc: "eu" }, "/v1/catalog/service/shop", { dc: "eu" }],
    [{ listUsing: ["agent"], service: "a/b" }, "/v1/agent/health/service/name/a%2Fb", {}],
    [{ listUsing: ["agent"], service: { id: "shop-1" } }, "/v1/agent/health/service/id/shop-1", {}],
    [
      { listUsing: [{ "Elixir.Cluster.Strategy.Consul.Catalog": { dc: "us", service: "other" } }] },
      "/v1/catalog/service/other",
      { dc: "us" },
    ],
  ])("%j asks %s", async (options, path, query) => {
    const { asked } = start(options);
    await asked(1);
    expect(fake.seen[0]).toMatchObject({ method: "GET", path, token: undefined });
    expect(fake.seen[0]!.query).toEqual(query);
  });

  it("keeps path and query of base_url, and carries the token in a header", async () => {
    const { asked } = start({ baseUrl: `${fake.url}/consul/?stale=1`, accessToken: "t0ken" });
    await asked(1);
    expect(fake.seen[0]).toMatchObject({
      path: "/consul/v1/health/service/shop",
      query: { stale: "1" },
      token: "t0ken",
    });
  });

  it("takes address and token from the environment", async () => {
    vi.stubEnv("CONSUL_HTTP_ADDR", fake.url.replace("http://", ""));
    vi.stubEnv("CONSUL_HTTP_TOKEN", "from-env");
    const { asked } = start({ baseUrl: undefined });
    await asked(1);
    expect(fake.seen[0]!.token).toBe("from-env");
  });

  it("without a basename it takes its own", async () => {
    fake.respond = () => ({ body: entries("10.0.0.2") });
    const { reports, reported } = start({ nodeBasename: undefined });
    await reported(1);
    expect(reports).toEqual([{ ok: true, nodes: ["me@10.0.0.2"] }]);
  });
});

describe("answers", () => {
  it.each([
    ["health", [healthEntry("10.0.0.2"), healthEntry(""), healthEntry("10.0.0.2")], ["10.0.0.2", "10.9.9.9"]],
    [
      "catalog",
      [
        { Address: "10.9.9.9", ServiceAddress: "10.0.0.2" },
        { Address: "10.9.9.8", ServiceAddress: "" },
      ],
      ["10.0.0.2", "10.9.9.8"],
    ],
    ["health", [healthEntry("fd00::1")], ["fd00::1"]],
    ["health", [healthEntry("not a host"), healthEntry("10.0.0.2"), {}, null, 7], ["10.0.0.2"]],
    ["health", null, []],
  ])("%s: %j gives %j", async (using, body, hosts) => {
    fake.respond = () => ({ body });
    const { reports, reported } = start({ listUsing: [using] });
    await reported(1);
    expect(reports).toEqual([nodes(...hosts)]);
  });

  it("with compat, catalog gives the address of the Consul node", async () => {
    fake.respond = () => ({ body: [{ Address: "10.9.9.9", ServiceAddress: "10.0.0.2" }] });
    const { reports, reported } = start({ listUsing: ["catalog"] }, true);
    await reported(1);
    expect(reports).toEqual([nodes("10.9.9.9")]);
  });

  it("the agent's status of a service that fares badly is no failure; its address serves where none is given", async () => {
    const services = [
      { AggregatedStatus: "passing", Service: { Address: "10.0.0.2" } },
      { AggregatedStatus: "critical", Service: { Address: "" } },
    ];
    fake.respond = ({ path }) =>
      path === "/v1/agent/self"
        ? { body: { Member: { Addr: "10.0.0.7" } } }
        : { status: 503, body: services };
    const { reports, reported } = start({ listUsing: ["agent"] });
    await reported(1);
    expect(reports).toEqual([nodes("10.0.0.2", "10.0.0.7")]);
  });

  it.each([
    [{ status: 403, body: "Permission denied" }, "HTTP_STATUS"],
    [{ status: 500, body: "No cluster leader" }, "HTTP_STATUS"],
    [{ body: "<html>" }, "HTTP_BODY_INVALID"],
    [{ body: { no: "list" } }, "HTTP_BODY_INVALID"],
    [{ body: "7" }, "HTTP_BODY_INVALID"],
  ])("%j is a failure, %s", async (answer, code) => {
    fake.respond = () => answer;
    const { reports, reported } = start();
    await reported(1);
    expect(reports[0]).toMatchObject({ ok: false, error: { code } });
  });

  it("what is not the agent's own 503 is a failure", async () => {
    fake.respond = () => ({ status: 503, body: "upstream is down" });
    const { reports, reported } = start({ listUsing: ["agent"] });
    await reported(1);
    expect(reports[0]).toMatchObject({ ok: false, error: { code: "HTTP_STATUS", context: { status: 503 } } });
  });
});

describe("blocking queries", () => {
  it("wait for something newer than the index of the answer before", async () => {
    const { clock, reports, asked, reported } = start({ waitTime: 30_000 });
    await asked(1);
    fake.answer({ index: 7, body: entries("10.0.0.2") });
    await reported(1);
    clock.advance(200);
    await asked(2);
    expect(fake.seen[1]!.query).toEqual({ index: "7", wait: "30000ms" });
    fake.answer({ index: 9, body: entries("10.0.0.2", "10.0.0.3") });
    await reported(2);
    clock.advance(200);
    await asked(3);
    expect(fake.seen[2]!.query["index"]).toBe("9");
    expect(reports).toEqual([nodes("10.0.0.2"), nodes("10.0.0.2", "10.0.0.3")]);
  });

  it.each([
    ["went back", { index: 3, body: entries("10.0.0.2") }],
    ["is nought", { index: 0, body: entries("10.0.0.2") }],
    ["makes no sense", { index: "x", body: entries("10.0.0.2") }],
    ["came with a failure", { status: 500, index: 8, body: "no" }],
  ])("do not wait after an index that %s", async (_what, answer) => {
    const { clock, asked, reported } = start();
    await asked(1);
    fake.answer({ index: 7, body: entries("10.0.0.2") });
    await reported(1);
    clock.advance(200);
    await asked(2);
    fake.answer(answer);
    await reported(2);
    clock.advance(60_000);
    await asked(3);
    expect(fake.seen[2]!.query).toEqual({});
  });

  it("an index has 64 bits", async () => {
    const { clock, asked, reported } = start();
    await asked(1);
    fake.answer({ index: "18446744073709551614", body: entries("10.0.0.2") });
    await reported(1);
    clock.advance(200);
    await asked(2);
    fake.answer({ index: "18446744073709551615", body: entries("10.0.0.2") });
    await reported(2);
    clock.advance(200);
    await asked(3);
    expect(fake.seen[2]!.query["index"]).toBe("18446744073709551615");
  });

  it("that come back at once with the same index are not repeated at once", async () => {
    const { clock, asked, reported } = start({ pollingInterval: 5000 });
    await asked(1);
    fake.answer({ index: 7, body: entries("10.0.0.2") });
    await reported(1);
    clock.advance(200);
    await asked(2);
    fake.answer({ index: 7, body: entries("10.0.0.2") });
    await reported(2);
    clock.advance(4000);
    await settled();
    expect(fake.seen).toHaveLength(2);
    clock.advance(2000);
    await asked(3);
  });

  it("are interrupted by refresh", async () => {
    const { clock, strategy, asked, reported } = start();
    await asked(1);
    fake.answer({ index: 7, body: entries("10.0.0.2") });
    await reported(1);
    clock.advance(200);
    await asked(2);
    strategy.refresh?.();
    await asked(3);
    expect(fake.seen[1]!.aborted).toBe(true);
    expect(fake.seen[2]!.query).toEqual({});
  });

  it.each([
    ["without an index", {}, { body: entries("10.0.0.2") }],
    ["with a wait of 0", { waitTime: 0 }, { index: 7, body: entries("10.0.0.2") }],
  ])("%s the interval counts", async (_how, options, answer) => {
    const { clock, asked, reported } = start({ pollingInterval: 5000, ...options });
    await asked(1);
    fake.answer(answer);
    await reported(1);
    clock.advance(4000);
    await settled();
    expect(fake.seen).toHaveLength(1);
    clock.advance(2000);
    await asked(2);
    expect(fake.seen[1]!.query).toEqual({});
  });
});

describe("nothing where there was something", () => {
  const emptied = async (options: Partial<ConsulOptions>, compat: boolean) => {
    const { clock, reports, asked, reported } = start(options, compat);
    await asked(1);
    fake.answer({ index: 7, body: entries("10.0.0.2") });
    await reported(1);
    clock.advance(200);
    await asked(2);
    fake.answer({ index: 8, body: [] });
    await reported(2);
    return { clock, reports, asked };
  };

  it("is a failure, and the next query waits for a change", async () => {
    const { clock, reports, asked } = await emptied({}, false);
    expect(reports[1]).toMatchObject({ ok: false, error: { code: "DISCOVERY_FAILED" } });
    clock.advance(60_000);
    await asked(3);
    expect(fake.seen[2]!.query["index"]).toBe("8");
  });

  it.each([
    [{ emptyIsValid: true }, false],
    [{}, true],
  ])("is believed with %j, compat %j", async (options, compat) => {
    expect((await emptied(options, compat)).reports[1]).toEqual(nodes());
  });
});

describe("several sources", () => {
  const two = {
    listUsing: [{ health: { service: "a" } }, { catalog: { service: "b", nodeBasename: "b" } }],
    pollingInterval: 1000,
    waitTime: 0,
  };
  const answers = { a: 200, b: 200 };
  beforeEach(() => {
    Object.assign(answers, { a: 200, b: 200 });
    fake.respond = ({ path }) =>
      path.endsWith("/a")
        ? { status: answers.a, body: entries("10.0.0.2") }
        : { status: answers.b, body: [{ Address: "10.0.0.3", ServiceAddress: "" }] };
  });

  it.each([
    [false, ["b@10.0.0.3", "shop@10.0.0.2"]],
    // the original
    [true, ["shop@10.0.0.2"]],
  ])("one of them failing, compat %j, leaves %j", async (compat, left) => {
    const { clock, reports, reported } = start(two, compat);
    await reported(2);
    expect(reports[1]).toEqual({ ok: true, nodes: ["b@10.0.0.3", "shop@10.0.0.2"] });
    answers.b = 500;
    clock.advance(1200);
    await expect.poll(() => reports.at(-1), { interval: 2 }).toMatchObject({ ok: false });
    expect(reports.findLast(({ ok }) => ok)).toEqual({ ok: true, nodes: left });
    answers.b = 200;
    clock.advance(1200);
    await expect
      .poll(() => reports.at(-1), { interval: 2 })
      .toEqual({ ok: true, nodes: ["b@10.0.0.3", "shop@10.0.0.2"] });
  });
});

it("a source that has no nodes of its own does not speak for those that have not answered", async () => {
  fake.respond = ({ path }) => (path.startsWith("/v1/agent") ? {} : undefined);
  const { reports, asked, reported } = start({ register: true });
  await asked(2);
  fake.answer({ body: entries("10.0.0.2") });
  await reported(1);
  expect(reports).toEqual([nodes("10.0.0.2")]);
});

it("multisite follows datacenters that come and go", async () => {
  const sites = { names: ["eu", "us"] };
  fake.respond = ({ path, query }) =>
    path === "/v1/catalog/datacenters"
      ? { body: sites.names }
      : { body: entries(query["dc"] === "eu" ? "10.0.0.2" : "10.0.0.3") };
  const { clock, reports } = start({
    listUsing: [{ multisite: { endpoints: ["health"] } }],
    pollingInterval: 1000,
  });
  const last = () => reports.at(-1);
  await expect.poll(last, { interval: 2 }).toEqual(nodes("10.0.0.2", "10.0.0.3"));
  sites.names = ["us"];
  clock.advance(1200);
  await expect.poll(last, { interval: 2 }).toEqual(nodes("10.0.0.3"));
  sites.names = [];
  clock.advance(1200);
  await expect.poll(last, { interval: 2 }).toMatchObject({ ok: false, error: { code: "HTTP_BODY_INVALID" } });
  expect(reports.findLast(({ ok }) => ok)).toEqual(nodes("10.0.0.3"));
});

it("registers itself when its check is unknown, renews the check, and takes itself out", async () => {
  let known = false;
  fake.respond = ({ path }) => {
    if (path === "/v1/agent/service/register") known = true;
    if (path.startsWith("/v1/agent/check/pass/")) return { status: known ? 200 : 404 };
    return path.startsWith("/v1/agent") ? {} : undefined;
  };
  const { clock, strategy } = start({ register: { ttl: 9000, port: 4370 }, accessToken: "t0ken" });
  const puts = () => fake.seen.filter(({ method }) => method === "PUT");
  await expect.poll(() => puts().length, { interval: 2 }).toBe(2);
  const pass = "/v1/agent/check/pass/service%3Ashop-me%4010.0.0.1";
  expect(puts().map(({ path }) => path)).toEqual([pass, "/v1/agent/service/register"]);
  expect(puts()[1]).toMatchObject({
    token: "t0ken",
    body: {
      ID: "shop-me@10.0.0.1",
      Name: "shop",
      Address: "10.0.0.1",
      Port: 4370,
      Check: { TTL: "9000ms", Status: "passing" },
    },
  });
  await settled();
  clock.advance(3300);
  await expect.poll(() => puts().length, { interval: 2 }).toBe(3);
  expect(puts()[2]!.path).toBe(pass);
  strategy.drain?.();
  await expect.poll(() => puts().length, { interval: 2 }).toBe(4);
  expect(puts()[3]!.path).toBe("/v1/agent/service/deregister/shop-me%4010.0.0.1");
  clock.advance(3300);
  await strategy.stop();
  expect(puts(), "once is enough").toHaveLength(4);
});

describe("options", () => {
  it.each([
    [{ service: undefined }],
    [{ service: { id: "shop-1" } }],
    [{ service: { id: "a", name: "b" } as never }],
    [{ listUsing: ["dns"] }],
    [{ listUsing: [{ health: {}, agent: {} }] }],
    [{ listUsing: [{ health: { polling_interval: 1 } }] }],
    [{ listUsing: [{ multisite: {} }] }],
    [{ listUsing: [{ multisite: { endpoints: [{ multisite: { endpoints: ["health"] } }] } }] }],
    [{ baseUrl: "ftp://consul" }],
    [{ baseUrl: "http://" }],
    [{ nodeBasename: "a@b" }],
    [{ caFile: "/nowhere/ca.pem" }],
    [{ register: { ttl: 10 } }],
    [{ listUsing: ["agent"], service: { id: "shop-1" }, register: true }],
  ])("refuses %j", (options: Partial<ConsulOptions>) => {
    expect(() => start(options)).toThrow(expect.objectContaining({ code: "STRATEGY_OPTIONS_INVALID" }));
  });

  it("takes libcluster's names", () => {
    const options = {
      list_using: ["Cluster.Strategy.Consul.Health"],
      base_url: "https://consul.example:8501",
      access_token: "t",
      service: { name: "shop" },
      "disable_verify_ssl?": true,
      node_basename: "shop",
      polling_interval: 10_000,
    };
    expect(consul.from(options)).toHaveProperty("start");
  });
});

strategyCompliance("consul", {
  secrets: ["s3cret-token"],
  badOptions: { "no service": () => consul({ accessToken: "s3cret-token" }) },
  async source() {
    const own = await startFakeConsul();
    own.respond = ({ query }) =>
      query["index"] === undefined ? { index: 5, body: entries("10.0.0.2", "10.0.0.3") } : undefined;
    return {
      nodes: ["shop@10.0.0.2", "shop@10.0.0.3"],
      make: () =>
        consul({ baseUrl: own.url, accessToken: "s3cret-token", service: "shop", nodeBasename: "shop" }),
      fail: () => own.close(),
      close: () => own.close(),
    };
  },
});
