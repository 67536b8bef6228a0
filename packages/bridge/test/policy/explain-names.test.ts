import { describe, expect, it } from "vitest";
import { explain } from "../../src/policy/explain.ts";

const CONFIG = {
  clusters: { shop: {}, billing: {} },
  routes: [
    { from: "shop", to: "billing", name: "billing_*", as: "far_*", nodes: ["b1@h"] },
    { from: "shop", to: "billing", name: "orders", as: "far_orders", nodes: ["b1@h"] },
  ],
  policy: [{ id: "closed", action: "deny" as const, names: ["billing_secrets"] }],
  policyMode: "enforce" as const,
};
const MIRRORS = [{ from: "shop", to: "billing" }];

const allowed = (target: string, more: object = {}) => {
  const answer = explain({ ...CONFIG, ...more }, `shop -> billing call ${target}`);
  return "problem" in answer ? answer.problem : answer.allowed;
};

describe("the explanation of a name", () => {
  it("finds it by the pattern that exports it, after names that are written out", () => {
    expect(allowed("far_carts")).toBe(true);
    expect(allowed("far_secrets")).toBe(false);
    expect(allowed("far_orders")).toBe(true);
    expect(allowed("carts")).toBe(false);
  });

  it("with mirrors, takes the name that the node has", () => {
    const policy = [{ action: "allow" as const, names: ["carts"] }];
    expect(allowed("carts", { policy })).toBe(false);
    expect(allowed("carts", { policy, mirrors: MIRRORS })).toBe(true);
    expect(allowed("other", { policy, mirrors: MIRRORS })).toBe(false);
  });

  it("with mirrors, lets pids pass as with a route", () => {
    expect(allowed("pid", { routes: [] })).toBe(false);
    expect(allowed("pid", { routes: [], mirrors: MIRRORS })).toBe(true);
  });
});
