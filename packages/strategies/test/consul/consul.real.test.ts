import type { Discovery } from "@isthmus/strategies";
import { type ConsulOptions, consul } from "@isthmus/strategies/consul";
import { systemClock } from "@isthmus/wire";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Consul, startConsul } from "../../../../test/support/consul.ts";
import { recordingLogger } from "../support/fake-cluster.ts";

let agent: Consul;
let reader: string;
let ends: (() => Promise<unknown>)[] = [];
const READ =
  'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" } agent_prefix "" { policy = "read" }';
beforeAll(async () => {
  agent = await startConsul();
  reader = await agent.tokenWith(READ);
});
afterEach(async () => {
  await Promise.all(ends.map((end) => end()));
  ends = [];
  for (const id of Object.keys((await agent.request("GET", "/agent/services")) as object))
    await agent.deregister(id);
});
afterAll(() => agent.stop());

/** Starts a strategy with a token that may only read. */
function start(options: Partial<ConsulOptions> = {}, self = "me@127.0.0.1", passive = false) {
  const reports: Discovery[] = [];
  const strategy = consul({
    baseUrl: agent.url,
    accessToken: reader,
    service: "shop",
    nodeBasename: "shop",
    pollingInterval: 200,
    ...options,
  });
  ends.push(() => strategy.stop());
  strategy.start({
    self,
    report: (discovery) => void reports.push(discovery),
    logger: recordingLogger(),
    clock: systemClock,
    signal: new AbortController().signal,
    compat: false,
    passive,
  });
  const nodes = (): readonly string[] | undefined => {
    const last = reports.findLast((report) => report.ok);
    return last?.ok === true ? [...last.nodes].sort() : undefined;
  };
  return {
    strategy,
    reports,
    nodes,
    last: () => reports.at(-1),
    failure: () => reports.find(({ ok }) => !ok),
  };
}

const enter = (n: number, more: object = {}) =>
  agent.register({ ID: `shop${n}`, Name: "shop", Address: `127.0.0.${n}`, Port: 4370, ...more });
const check = { CheckID: "alive", TTL: "60s", Status: "passing" };
const patiently = { timeout: 20_000, interval: 20 };

describe.each(["health", "catalog", "agent"])("asking %s", (using) => {
  it("follows instances that come and go", async () => {
    await enter(2);
    const { nodes, reports } = start({ listUsing: [using] });
    await expect.poll(nodes, patiently).toEqual(["shop@127.0.0.2"]);
    await enter(3);
    await expect.poll(nodes, patiently).toEqual(["shop@127.0.0.2", "shop@127.0.0.3"]);
    await agent.deregister("shop2");
    await expect.poll(nodes, patiently).toEqual(["shop@127.0.0.3"]);
    expect(reports.every(({ ok }) => ok)).toBe(true);
  });

  it("an instance without an address is where its Consul node is", async () => {
    await enter(2, { Address: "" });
    const { nodes } = start({ listUsing: [using] });
    await expect.poll(nodes, patiently).toEqual(["shop@127.0.0.1"]);
  });
});

it.each(["health", "agent"])("with passing, %s leaves out those that fare badly", async (using) => {
  await enter(2, { Check: check });
  await enter(3, { Check: { ...check, CheckID: "ill" } });
  const all = start({ listUsing: [using] });
  const healthy = start({ listUsing: [using], passing: true });
  await expect.poll(healthy.nodes, patiently).toEqual(["shop@127.0.0.2", "shop@127.0.0.3"]);
  await agent.request("PUT", "/agent/check/fail/ill");
  await expect.poll(healthy.nodes, patiently).toEqual(["shop@127.0.0.2"]);
  await expect.poll(all.nodes, patiently).toEqual(["shop@127.0.0.2", "shop@127.0.0.3"]);
  expect(healthy.reports.every(({ ok }) => ok)).toBe(true);
});

it("a token without rights is answered as if there were nothing by health and catalog, and refused by agent", async () => {
  await enter(2);
  const accessToken = await agent.tokenWith('service "other" { policy = "read" }');
  for (const using of ["health", "catalog"]) {
    const { last } = start({ listUsing: [using], accessToken });
    await expect.poll(last, patiently).toEqual({ ok: true, nodes: [] });
  }
  const { last } = start({ listUsing: ["agent"], accessToken });
  await expect
    .poll(last, patiently)
    .toMatchObject({ error: { code: "HTTP_STATUS", context: { status: 403 } } });
});

it("a token that loses its rights takes no node away", async () => {
  await enter(2);
  const policy = (await agent.request("PUT", "/acl/policy", { Name: "fading", Rules: READ })) as {
    ID: string;
  };
  const token = await agent.request("PUT", "/acl/token", { Policies: [{ ID: policy.ID }] });
  const { nodes, failure, strategy } = start({ accessToken: (token as { SecretID: string }).SecretID });
  await expect.poll(nodes, patiently).toEqual(["shop@127.0.0.2"]);
  await agent.request("PUT", `/acl/policy/${policy.ID}`, { Name: "fading", Rules: "" });
  await expect
    .poll(() => {
      strategy.refresh?.();
      return failure();
    }, patiently)
    .toMatchObject({ error: { code: "DISCOVERY_FAILED", message: expect.stringContaining("service:read") } });
  expect(nodes()).toEqual(["shop@127.0.0.2"]);
});

it("the agent knows one instance by its id", async () => {
  await enter(2);
  await enter(3);
  const { nodes } = start({ listUsing: ["agent"], service: { id: "shop3" } });
  await expect.poll(nodes, patiently).toEqual(["shop@127.0.0.3"]);
});

it.each(["health", "catalog"])("%s gives the names of Consul's nodes, and filters", async (using) => {
  await enter(2, { Tags: ["blue"] });
  const { nodes } = start({ listUsing: [using], expected: "host" });
  await expect.poll(nodes, patiently).toEqual(["shop@agent-dc1"]);
  const tags = using === "health" ? "Service.Tags" : "ServiceTags";
  const blue = start({ listUsing: [using], filter: `"blue" in ${tags}` });
  const red = start({ listUsing: [using], filter: `"red" in ${tags}` });
  await expect.poll(blue.nodes, patiently).toEqual(["shop@127.0.0.2"]);
  await expect.poll(red.nodes, patiently).toEqual([]);
});

it("a change wakes the waiting query, without polling", async () => {
  await enter(2);
  // an interval and a wait that no test lasts
  const { nodes } = start({ pollingInterval: 3_600_000, waitTime: 600_000 });
  await expect.poll(nodes, patiently).toEqual(["shop@127.0.0.2"]);
  await enter(3);
  await expect.poll(nodes, patiently).toEqual(["shop@127.0.0.2", "shop@127.0.0.3"]);
  await enter(4);
  await expect.poll(nodes, patiently).toEqual(["shop@127.0.0.2", "shop@127.0.0.3", "shop@127.0.0.4"]);
});

it("the last instance going is a failure, unless there may be none", async () => {
  await enter(2);
  const careful = start();
  const trusting = start({ emptyIsValid: true });
  await expect.poll(careful.nodes, patiently).toEqual(["shop@127.0.0.2"]);
  await expect.poll(trusting.nodes, patiently).toEqual(["shop@127.0.0.2"]);
  await agent.deregister("shop2");
  await expect.poll(careful.failure, patiently).toMatchObject({ error: { code: "DISCOVERY_FAILED" } });
  await expect.poll(trusting.nodes, patiently).toEqual([]);
  expect(careful.nodes()).toEqual(["shop@127.0.0.2"]);
  await enter(3);
  await expect.poll(careful.last, patiently).toEqual({ ok: true, nodes: ["shop@127.0.0.3"] });
});

it("a token that is unknown is refused, without being shown", async () => {
  await enter(2);
  const accessToken = "11111111-2222-3333-4444-555555555555";
  const { failure } = start({ accessToken });
  await expect.poll(failure, patiently).toMatchObject({
    error: {
      code: "HTTP_STATUS",
      message: expect.stringContaining("access token"),
      context: { status: 403 },
    },
  });
  expect(JSON.stringify(failure())).not.toContain(accessToken);
});

it("goes on after a restart of the agent, which has forgotten everything", async () => {
  await enter(2);
  const { nodes, failure, last } = start({ waitTime: 600_000 });
  await expect.poll(nodes, patiently).toEqual(["shop@127.0.0.2"]);
  await agent.stop();
  await expect.poll(failure, patiently).toMatchObject({ error: { code: "HTTP_FAILED" } });
  expect(nodes()).toEqual(["shop@127.0.0.2"]);
  await agent.start();
  reader = await agent.tokenWith(READ);
  expect(nodes()).toEqual(["shop@127.0.0.2"]);
  const again = start({ waitTime: 600_000 });
  await expect.poll(again.nodes, patiently).toEqual([]);
  await enter(3);
  await expect.poll(again.nodes, patiently).toEqual(["shop@127.0.0.3"]);
  // its token is gone with the agent's state
  expect(last()).toMatchObject({ ok: false });
});

it("the same token goes on after a restart, from a lower index", async () => {
  for (let n = 2; n < 6; n++) await enter(n);
  const { nodes, last } = start({ accessToken: agent.token, waitTime: 600_000 });
  await expect.poll(nodes, patiently).toHaveLength(4);
  await agent.stop();
  await expect.poll(() => last()?.ok, patiently).toBe(false);
  await agent.start();
  reader = await agent.tokenWith(READ);
  await enter(7);
  await expect.poll(nodes, patiently).toEqual(["shop@127.0.0.7"]);
});

it("registers itself, again when it was forgotten, and takes itself out when it ends", async () => {
  const writer = () =>
    agent.tokenWith('service "shop" { policy = "write" } node_prefix "" { policy = "read" }');
  const register = { ttl: 1000, port: 4370, tags: ["js"] };
  const one = start({ accessToken: await writer(), register }, "shop@127.0.0.9");
  const { nodes } = start({ passing: true });
  await expect.poll(nodes, patiently).toEqual(["shop@127.0.0.9"]);
  const entry = async () => Object.values((await agent.request("GET", "/agent/services")) as object);
  expect(await entry()).toMatchObject([
    { ID: "shop-shop@127.0.0.9", Service: "shop", Address: "127.0.0.9", Port: 4370, Tags: ["js"] },
  ]);
  await agent.request("PUT", "/agent/service/deregister/shop-shop@127.0.0.9");
  await expect.poll(entry, patiently).toHaveLength(1);
  await one.strategy.stop();
  expect(await entry()).toEqual([]);
});

it("registers nobody in a dry run", async () => {
  await enter(2);
  const { nodes } = start({ accessToken: agent.token, register: { ttl: 1000 } }, "shop@127.0.0.9", true);
  await expect.poll(nodes, patiently).toEqual(["shop@127.0.0.2"]);
  expect(Object.keys((await agent.request("GET", "/agent/services")) as object)).toEqual(["shop2"]);
});

it("with multisite it looks into every datacenter", async () => {
  const other = await startConsul({ datacenter: "dc2" });
  ends.push(() => other.stop());
  await other.join(agent);
  await expect
    .poll(() => agent.request("GET", "/catalog/datacenters"), patiently)
    .toEqual(expect.arrayContaining(["dc1", "dc2"]));
  await enter(2);
  const { nodes } = start({
    accessToken: agent.token,
    listUsing: [{ multisite: { endpoints: ["health"] } }],
  });
  await expect.poll(nodes, patiently).toEqual(["shop@127.0.0.2"]);
  await other.register({ ID: "far", Name: "shop", Address: "127.0.0.8" });
  await expect.poll(nodes, patiently).toEqual(["shop@127.0.0.2", "shop@127.0.0.8"]);
  const named = start({
    accessToken: agent.token,
    listUsing: [{ multisite: { datacenters: ["dc2"], endpoints: ["catalog"] } }],
  });
  await expect.poll(named.nodes, patiently).toEqual(["shop@127.0.0.8"]);
  // a datacenter that fails keeps its nodes, and the other goes on
  await other.stop();
  await expect.poll(() => named.last()?.ok, { ...patiently, timeout: 40_000 }).toBe(false);
  await enter(3);
  await expect.poll(nodes, patiently).toEqual(["shop@127.0.0.2", "shop@127.0.0.3", "shop@127.0.0.8"]);
});
