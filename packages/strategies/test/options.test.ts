import { defineStrategy, option, type Strategy } from "@isthmus/strategies";
import { describe, expect, it } from "vitest";

const nothing: Strategy = { start: () => undefined, stop: async () => undefined };
let seen: unknown;
const shop = defineStrategy({
  name: "shop",
  aliases: ["Cluster.Strategy.Shop"],
  options: {
    nodeBasename: option.text(),
    selector: option.text({ default: "app=shop", aliases: ["kubernetes_selector"] }),
    pollingInterval: option.milliseconds({ default: 5000 }),
    port: option.integer({ min: 0, max: 65_535, default: 1 }),
    mode: option.oneOf(["ip", "dns"], { default: "ip" }),
    verify: option.boolean({ default: true }),
    tags: option.list(option.text(), { default: [] }),
    token: option.optional(option.text({ secret: true })),
  },
  create: (options) => {
    seen = options;
    return nothing;
  },
});
const invalid = (message: RegExp) =>
  expect.objectContaining({ code: "STRATEGY_OPTIONS_INVALID", message: expect.stringMatching(message) });
const error = (run: () => unknown): unknown => {
  try {
    return run();
  } catch (thrown) {
    return thrown;
  }
};

describe("options of a strategy", () => {
  it("fills in the defaults", () => {
    expect(shop({ nodeBasename: "app" })).toBe(nothing);
    expect(seen).toEqual({
      nodeBasename: "app",
      selector: "app=shop",
      pollingInterval: 5000,
      port: 1,
      mode: "ip",
      verify: true,
      tags: [],
      token: undefined,
    });
  });

  it("takes snake_case, other programs' names, Elixir's atoms and text from the environment", () => {
    shop.from({
      node_basename: "app",
      kubernetes_selector: "x=y",
      polling_interval: "250",
      mode: ":dns",
      verify: "no",
      tags: "one",
    });
    expect(seen).toMatchObject({
      nodeBasename: "app",
      selector: "x=y",
      pollingInterval: 250,
      mode: "dns",
      verify: false,
      tags: ["one"],
    });
    shop.from({ nodeBasename: "app", kubernetesSelector: "a=b" });
    expect(seen).toMatchObject({ selector: "a=b" });
  });

  it.each([
    [{}, /needs node_basename/],
    [{ node_basename: "" }, /node_basename of shop must be text that is not empty, not ""/],
    [{ node_basename: "a", poling_interval: 1 }, /poling_interval is not an option.*mean polling_interval\?/],
    [{ node_basename: "a", polling_interval: 0 }, /milliseconds, a whole number from 1 to 86400000, not 0/],
    [{ node_basename: "a", polling_interval: "5s" }, /not "5s"/],
    [{ node_basename: "a", nodeBasename: "b" }, /two names of one option/],
    [{ node_basename: "a", port: 65_536 }, /from 0 to 65535/],
    [{ node_basename: "a", mode: "udp" }, /one of ip, dns, not "udp"/],
    [{ node_basename: "a", verify: "maybe" }, /true or false/],
    [{ node_basename: "a", tags: ["x", 1] }, /a list, each of it text/],
  ])("refuses %j", (given, message) => {
    expect(error(() => shop.from(given))).toEqual(invalid(message));
  });

  it("never shows a secret", () => {
    const thrown = error(() => shop.from({ node_basename: "a", token: ["hunter2"] }));
    expect(thrown).toEqual(invalid(/^token of shop must be text that is not empty\.$/));
  });

  it("takes undefined for not given", () => {
    shop({ nodeBasename: "app", selector: undefined });
    expect(seen).toMatchObject({ selector: "app=shop" });
  });
});
