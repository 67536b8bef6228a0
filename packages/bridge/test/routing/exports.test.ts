import { atom } from "@isthmus/etf";
import { silentLogger } from "@isthmus/wire";
import { describe, expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import type { RouteOptions } from "../../src/options.ts";
import { Policy } from "../../src/policy/policy.ts";
import { RESERVED_NAMES } from "../../src/policy/reserved-names.ts";
import { ClusterRouter, DEFAULT_ROUTER_LIMITS } from "../../src/routing/cluster-router.ts";
import { Exports, exportOf } from "../../src/routing/exports.ts";
import { Refusals } from "../../src/routing/refusals.ts";

const clock = new FakeClock();
const billing: ClusterRouter = new ClusterRouter("billing", "bridge@billing", {
  refusals: new Refusals(silentLogger, clock),
  policy: new Policy({ rules: [], routes: [], clock }),
  router: () => billing,
  relations: new Map(),
  limits: DEFAULT_ROUTER_LIMITS,
  clock: new FakeClock(),
  firstIndex: 1000,
});

function exportsOf(...routes: Pick<RouteOptions, "name" | "as">[]) {
  const made = routes.map((route) =>
    exportOf({ from: "shop", to: "billing", ...route }, billing, ["b1@billing"]),
  );
  const exports = new Exports();
  exports.configure(made);
  const find = (name: string) => exports.named(atom(name)) ?? exports.fitting(atom(name));
  return { exports, find, target: (name: string) => find(name)?.name.text };
}

describe("the names that a cluster may use", () => {
  it.each([
    ["billing_*", "billing_*", "billing_orders", "billing_orders"],
    ["billing_*", "b_*", "b_orders", "billing_orders"],
    ["billing_*", "b_*", "b_", "billing_"],
    ["*", "*", "orders", "orders"],
    ["Elixir.*.*", "*_of_*", "Orders_of_Shop", "Elixir.Orders.Shop"],
    ["a*b*c", "x*y*z", "x1y2y3z", "a1b2y3c"],
    ["a*", "b*b", "bb", "a"],
    ["a*", "b*b", "b", undefined],
    ["*", "x*x", "x", undefined],
    ["billing_*", "b_*", "orders", undefined],
    ["billing_*", "billing_*", "Billing_orders", undefined],
  ])("%s as %s: %s is %s", (name, as, asked, expected) => {
    expect(exportsOf({ name, as }).target(asked)).toBe(expected);
  });

  it("a name that is written out comes before patterns, and patterns in their order", () => {
    const { target } = exportsOf(
      { name: "first_*", as: "x_*" },
      { name: "second_*", as: "x_*" },
      { name: "exact", as: "x_orders" },
    );
    expect([target("x_orders"), target("x_other")]).toEqual(["exact", "first_other"]);
  });

  it("no pattern means a process of OTP, neither as it is called here nor there", () => {
    const all = exportsOf({ name: "*" });
    for (const name of RESERVED_NAMES) expect(all.target(name), name).toBeUndefined();
    const prefixed = exportsOf({ name: "*", as: "far_*" });
    for (const name of RESERVED_NAMES) expect(prefixed.target(`far_${name}`), name).toBeUndefined();
  });

  it("a name that is too long for an atom stands for nothing", () => {
    const { target } = exportsOf({ name: "a_long_prefix_*", as: "*" });
    expect(target("x".repeat(255))).toBeUndefined();
  });

  it("a name that was found is the same object again, and what was made up does not stay", () => {
    const { find } = exportsOf({ name: "billing_*" });
    const found = find("billing_orders");
    expect(find("billing_orders")).toBe(found);
    for (let i = 0; i < 5000; i++) find(`made_up_${i}`);
    expect(find("billing_orders")).not.toBe(found);
    expect(find("billing_orders")?.choice).toBe(found?.choice);
  });

  it("what is the same after a reload keeps its callers", () => {
    const { exports, find } = exportsOf({ name: "billing_*" }, { name: "orders" });
    const [pattern, orders] = [find("billing_x"), find("orders")];
    exports.configure(
      [{ name: "orders" }, { name: "billing_*" }].map((route) =>
        exportOf({ from: "shop", to: "billing", ...route }, billing, ["b1@billing"]),
      ),
    );
    expect(find("billing_x")?.choice).toBe(pattern?.choice);
    expect(find("orders")).toBe(orders);
    exports.configure([exportOf({ from: "shop", to: "billing", name: "orders" }, billing, ["b2@billing"])]);
    expect(find("orders")).not.toBe(orders);
    expect(find("billing_x")).toBeUndefined();
  });
});
