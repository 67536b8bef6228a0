import { describe, expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { explain } from "../../src/policy/explain.ts";
import { Policy } from "../../src/policy/policy.ts";
import type { PolicyRule } from "../../src/policy/rule.ts";

const GROUPS = [{ from: "shop", to: "billing", groups: ["orders", "{room,*}"] }];
const CLUSTERS = { shop: {}, billing: {}, audit: {} };

function setUp(rules: readonly PolicyRule[]) {
  const policy = new Policy({ rules, routes: [], groups: GROUPS, clock: new FakeClock() });
  return {
    policy,
    rule: (name: string, from = "shop", to = "billing", node = "billing1@h") => {
      const { allows, rule } = policy.group(from, to, name, node);
      return `${allows} ${rule}`;
    },
  };
}

describe("whether a group is seen", () => {
  it("is what the entries say, in their direction, when there are no rules", () => {
    const { rule, policy } = setUp([]);
    expect([rule("orders"), rule("{room,7}")]).toEqual(["true groups[0]", "true groups[0]"]);
    expect([rule("bills"), rule("orders", "billing", "shop"), rule("orders", "shop", "audit")]).toEqual(
      Array(3).fill("false default:deny"),
    );
    // members can be addressed, and can answer
    for (const gate of [policy.gate("shop", "billing"), policy.gate("billing", "shop")])
      expect(gate.pid({ text: "x@h" } as never, { text: "y@h" } as never)[0]!.rule).toBe("default:pids");
  });

  it("is what the first rule says that is about it", () => {
    const { rule } = setUp([
      { id: "names", action: "deny", names: ["*"] },
      { id: "pids", action: "deny", pid: true },
      { id: "calls", action: "deny", operations: ["call"] },
      { id: "open", action: "allow", groups: ["{room,open}"] },
      { id: "rooms", action: "deny", from: ["shop"], to: ["billing"], groups: ["{room,*}"] },
      { id: "node", action: "deny", groups: ["orders"], toNodes: ["billing2@*"] },
    ]);
    expect([rule("{room,open}"), rule("{room,shut}"), rule("orders")]).toEqual([
      "true open",
      "false rooms",
      "true groups[0]",
    ]);
    expect(rule("orders", "shop", "billing", "billing2@h")).toBe("false node");
    expect(rule("{room,shut}", "billing", "shop")).toBe("false default:deny");
  });

  it("is denied by a rule about everything, and rules about groups say nothing of messages", () => {
    expect(setUp([{ id: "all", action: "deny", to: ["billing"] }]).rule("orders")).toBe("false all");
    const { policy } = setUp([{ id: "groups", action: "deny", groups: ["*"] }]);
    const decisions = policy.gate("shop", "billing").pid({ text: "x@h" } as never, { text: "y@h" } as never);
    expect(decisions[0]!.rule).toBe("default:pids");
  });
});

describe("isthmus check --explain, of a group", () => {
  const ask = (
    question: string,
    policy: readonly PolicyRule[] = [],
    policyMode: "enforce" | "log" = "enforce",
  ) => explain({ clusters: CLUSTERS, routes: [], groups: GROUPS, policy, policyMode }, question);

  it("names the rule, however the group is written", () => {
    for (const text of ["{room,7}", "{room, 7}"]) {
      expect(ask(`shop -> billing group ${text}`)).toEqual({
        allowed: true,
        text: `shop -> billing group ${text}: allowed\n  groups[0] decides`,
      });
    }
    const answer = ask("shop -> billing group 'orders'", [{ id: "no", action: "deny", groups: ["ord*"] }]);
    expect(answer).toMatchObject({ allowed: false, text: expect.stringContaining("no decides") });
  });

  it("says when no entry shows it, and when the trial carries it", () => {
    const open: PolicyRule = { id: "open", action: "allow", groups: ["*"] };
    expect(ask("shop -> audit group orders", [open])).toMatchObject({
      allowed: false,
      text: expect.stringContaining("but no entry of groups shows orders to shop"),
    });
    expect(ask("shop -> billing group orders", [{ action: "deny" }], "log")).toMatchObject({
      allowed: true,
      text: expect.stringContaining("refused, but carried"),
    });
  });

  it("refuses what is no term", () => {
    expect(ask("shop -> billing group {room,")).toMatchObject({
      problem: expect.stringContaining("no name of a process group"),
    });
  });
});
