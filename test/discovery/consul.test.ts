import { consul } from "@isthmus/strategies/consul";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Consul, startConsul } from "../support/consul.ts";
import { Shop } from "./shop.ts";

const shop = new Shop();
let agent: Consul;
beforeAll(async () => {
  agent = await startConsul();
});
afterAll(async () => {
  await shop.close();
  await agent.stop();
});

const enter = (address: string) =>
  agent.register({
    ID: address,
    Name: "shop",
    Address: address,
    Check: { CheckID: `check-${address}`, TTL: "10m", Status: "passing" },
  });

it("nodes are connected while their instances are healthy in Consul, and stay while Consul is away", async () => {
  const [two, three] = ["127.0.0.2", "127.0.0.3"] as const;
  await Promise.all([shop.open(two), shop.open(three)]);
  await enter(two);
  const strategy = consul({
    baseUrl: agent.url,
    accessToken: agent.token,
    service: "shop",
    passing: true,
    nodeBasename: "shop",
    // changes are told, not asked for
    pollingInterval: 3_600_000,
  });
  await shop.follow(strategy);
  await shop.connected(two);

  await enter(three);
  await shop.connected(two, three);
  await agent.request("PUT", `/agent/check/fail/check-${two}`);
  await shop.connected(three);
  await agent.request("PUT", `/agent/check/pass/check-${two}`);
  await shop.connected(two, three);

  await agent.deregister(two);
  await shop.connected(three);
  // the last instance going may as well be a token that has lost its rights
  await agent.deregister(three);
  expect(await shop.event("discovery_failed")).toMatchObject({ error: { code: "DISCOVERY_FAILED" } });
  await shop.connected(three);

  await agent.stop();
  await agent.start();
  await shop.connected(three);
  await enter(two);
  strategy.refresh?.();
  await shop.connected(two);
  expect(shop.discoveryError).toBeUndefined();
});
