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

  it("with mirrors of some nodes, looks at the node that is asked", () => {
    const policy = [{ id: "all", action: "allow" as const, names: ["carts"] }];
    const mirrors = [{ from: "shop", to: "billing", nodes: ["b*@h"] }];
    const of = (node: string) =>
      explain({ ...CONFIG, policy, mirrors }, `shop -> billing/${node} call carts`);
    expect(of("b2@h")).toMatchObject({ allowed: true, text: expect.stringContaining("at mirrors of nodes") });
    expect(of("c1@h")).toMatchObject({
      allowed: false,
      text: expect.stringContaining("no route exports carts"),
    });
  });

  it("with mirrors, a route allows its name on its own nodes only", () => {
    const of = (node: string) =>
      explain({ ...CONFIG, mirrors: MIRRORS }, `shop -> billing/${node} call orders`);
    expect(of("b1@h")).toMatchObject({ allowed: true });
    expect(of("b2@h")).toMatchObject({ allowed: false });
  });

  it("with mirrors, functions run on any of the nodes, unless the rule names some", () => {
    const of = (more: object) => {
      const policy = [{ action: "allow" as const, rpc: ["orders:lookup/1"], ...more }];
      return explain({ ...CONFIG, policy, mirrors: MIRRORS }, "shop -> billing call orders:lookup/1");
    };
    expect(of({})).toMatchObject({ text: expect.stringContaining("on any node that is mirrored") });
    expect(of({ nodes: ["b2@h"] })).toMatchObject({ text: expect.stringContaining("on b2@h") });
  });

  it("with mirrors, lets pids pass as with a route", () => {
    expect(allowed("pid", { routes: [] })).toBe(false);
    expect(allowed("pid", { routes: [], mirrors: MIRRORS })).toBe(true);
  });
});
