import { atom } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { VERDICT } from "../../src/policy/decision.ts";
import { OPERATIONS, type Operation } from "../../src/policy/operation.ts";
import { Policy } from "../../src/policy/policy.ts";
import { isKernelPid, mayBeLoader, RESERVED_NAMES } from "../../src/policy/reserved-names.ts";
import type { PolicyRule } from "../../src/policy/rule.ts";

const ROUTES = [{ from: "shop", to: "billing", name: "orders" }];
const [SHOP1, SHOP2, BILLING1] = ["shop1@h", "shop2@h", "billing1@h"].map((text) => atom(text)) as [
  ReturnType<typeof atom>,
  ReturnType<typeof atom>,
  ReturnType<typeof atom>,
];

function setUp(rules: readonly PolicyRule[], routes = ROUTES) {
  const clock = new FakeClock();
  const policy = new Policy({ rules, routes, clock });
  const at = (operation: Operation) => OPERATIONS.indexOf(operation);
  return {
    clock,
    policy,
    name: (operation: Operation, name = "orders", sender = SHOP1) =>
      policy.gate("shop", "billing").name(atom(name), sender, BILLING1)[at(operation)]!,
    pid: (operation: Operation, from = "shop", to = "billing") =>
      policy.gate(from, to).pid(SHOP1, BILLING1)[at(operation)]!,
    allowed: (subject: "name" | "pid") =>
      OPERATIONS.filter((_one, i) => {
        const gate = policy.gate("shop", "billing");
        const decisions =
          subject === "name" ? gate.name(atom("orders"), SHOP1, BILLING1) : gate.pid(SHOP1, BILLING1);
        return decisions[i]!.allows;
      }),
  };
}

describe("a policy without rules", () => {
  it("allows for a route what is needed to use its name, and nothing else", () => {
    const { allowed, name } = setUp([]);
    expect(allowed("name")).toEqual(["call", "cast", "info", "reply", "monitor"]);
    expect(name("call").rule).toBe("routes[0]");
    expect(name("system").rule).toBe("default:deny");
    expect(name("call", "secrets").allows).toBe(false);
  });

  it("allows a conversation by pid, both ways, between clusters that a route joins", () => {
    const { allowed, pid } = setUp([]);
    expect(allowed("pid")).toEqual(["call", "cast", "info", "reply", "monitor", "link"]);
    expect(pid("call", "billing", "shop").allows).toBe(true);
    expect(pid("call", "shop", "audit")).toMatchObject({ allows: false, rule: "default:deny" });
    expect(pid("exit")).toMatchObject({ allows: false, rule: "default:deny" });
  });

  it("joins clusters when it is told to", () => {
    const { policy, pid } = setUp([], []);
    expect(pid("call").allows).toBe(false);
    policy.join("shop", "billing");
    expect(pid("call").allows).toBe(true);
  });
});

describe("a policy with mirrors", () => {
  const routes = [{ from: "shop", to: "billing", name: "orders", nodes: ["billing1@*"] }];
  const calls = (mirrors: readonly { from: string; to: string }[], node: string) =>
    new Policy({ rules: [], routes, mirrors, clock: new FakeClock() })
      .gate("shop", "billing")
      .name(atom("orders"), SHOP1, atom(node))[OPERATIONS.indexOf("call")]!.allows;

  it("allows the name of a route on the nodes of the route, and not on others that are mirrored", () => {
    const mirrors = [{ from: "shop", to: "billing" }];
    expect(calls(mirrors, "billing1@h")).toBe(true);
    expect(calls(mirrors, "billing2@h")).toBe(false);
    // without mirrors nobody but the bridge chooses
    expect(calls([], "billing2@h")).toBe(true);
  });
});

describe("rules", () => {
  it("decide in their order, before the routes", () => {
    const { name } = setUp([
      { action: "allow", from: ["shop"], names: ["orders"], operations: ["cast"] },
      { id: "quiet", action: "deny", to: ["billing"], names: ["ord*"], operations: ["cast", "info"] },
    ]);
    expect(name("cast")).toMatchObject({ allows: true, rule: "policy[0]" });
    expect(name("info")).toMatchObject({ allows: false, rule: "quiet" });
    expect(name("call")).toMatchObject({ allows: true, rule: "routes[0]" });
  });

  it("look at clusters, nodes, names and operations", () => {
    const { name, policy } = setUp([
      { action: "deny", fromNodes: ["shop2@*"] },
      { action: "deny", from: ["audit"] },
      { action: "deny", toNodes: ["other*"] },
    ]);
    expect(name("call", "orders", SHOP1).allows).toBe(true);
    expect(name("call", "orders", SHOP2)).toMatchObject({ allows: false, rule: "policy[0]" });
    expect(policy.gate("shop", "billing").name(atom("orders"), SHOP1, atom("other@h"))[0]!.rule).toBe(
      "policy[2]",
    );
  });

  it("send stands for every kind of message", () => {
    const { allowed } = setUp([{ action: "deny", names: ["orders"], operations: ["send"] }]);
    expect(allowed("name")).toEqual(["monitor"]);
  });

  it("a denial of nothing in particular is one of everything", () => {
    const { allowed } = setUp([{ action: "deny", from: ["shop"] }]);
    expect([allowed("name"), allowed("pid")]).toEqual([[], []]);
  });

  it("allow what the defaults refuse", () => {
    const { pid } = setUp([{ action: "allow", pid: true, operations: ["exit", "group_leader"] }]);
    expect([pid("exit").allows, pid("group_leader").allows, pid("system").allows]).toEqual([
      true,
      true,
      false,
    ]);
    expect(pid("link").rule).toBe("default:pids");
  });

  it("mean OTP's own processes only where they name them", () => {
    const { name } = setUp([{ action: "allow", names: ["*"], to: ["billing"] }]);
    expect(name("call", "anything").allows).toBe(true);
    for (const reserved of RESERVED_NAMES) expect(name("call", reserved).allows, reserved).toBe(false);
    expect(setUp([{ action: "allow", names: ["logger"] }]).name("info", "logger").allows).toBe(true);
    expect(setUp([{ action: "deny", names: ["*"] }]).name("call", "rex").allows).toBe(false);
  });

  it("look functions up by module, name and number of arguments", () => {
    const { policy } = setUp([
      { action: "deny", rpc: ["orders:delete*"] },
      { action: "allow", to: ["billing"], rpc: ["orders:*"], nodes: ["billing1@h"] },
    ]);
    const rpc = (mfa: string, operation: Operation = "call") =>
      policy.rpc("shop", mfa, "shop1@h", OPERATIONS.indexOf(operation));
    expect(rpc("orders:lookup/1")).toMatchObject({ to: "billing", decision: { rule: "policy[1]" } });
    for (const refused of ["orders:delete_all/0", "os:cmd/1", "erlang:apply/3"])
      expect(rpc(refused)).toBeUndefined();
    expect(rpc("orders:lookup/1", "spawn")).toBeUndefined();
    expect([policy.mayRun("shop"), setUp([]).policy.mayRun("shop")]).toEqual([true, false]);
  });

  it("keep no more than they have room for, whatever names nodes give themselves", () => {
    const { name } = setUp([{ action: "deny", fromNodes: ["evil*"] }]);
    for (let i = 0; i < 10_000; i++) {
      const sender = atom(i % 2 === 0 ? `evil${i}@h` : `shop${i}@h`);
      expect(name("call", "orders", sender).allows).toBe(i % 2 === 1);
    }
  });

  it("are looked up once", () => {
    const { policy } = setUp([]);
    const gate = policy.gate("shop", "billing");
    expect(gate.name(atom("orders"), SHOP1, BILLING1)).toBe(gate.name(atom("orders"), SHOP2, BILLING1));
    expect(gate.pid(SHOP1, BILLING1)).toBe(gate.pid(SHOP2, BILLING1));
  });
});

describe("limits", () => {
  it("of size: what is longer is refused", () => {
    const { name } = setUp([{ action: "allow", names: ["orders"], maxBytes: 100 }]);
    expect([name("call").judge(100), name("call").judge(101)]).toEqual([VERDICT.ALLOWED, VERDICT.TOO_LARGE]);
  });

  it("of rate: a burst, and then so many a second; each sending cluster has its own", () => {
    const { name, clock, policy } = setUp([
      { action: "allow", names: ["orders"], rate: { perSecond: 10, burst: 3 } },
    ]);
    const judged = (count: number) => Array.from({ length: count }, () => name("call").judge(1));
    expect(judged(4)).toEqual([VERDICT.ALLOWED, VERDICT.ALLOWED, VERDICT.ALLOWED, VERDICT.TOO_MANY]);
    // one bucket for all that the rule decides
    expect(name("cast").judge(1)).toBe(VERDICT.TOO_MANY);
    const other = policy.gate("audit", "billing").name(atom("orders"), SHOP1, BILLING1)[0]!;
    expect(other.judge(1)).toBe(VERDICT.ALLOWED);
    clock.advance(100);
    expect(judged(2)).toEqual([VERDICT.ALLOWED, VERDICT.TOO_MANY]);
    clock.advance(3_600_000);
    expect(judged(4)).toEqual([VERDICT.ALLOWED, VERDICT.ALLOWED, VERDICT.ALLOWED, VERDICT.TOO_MANY]);
  });
});

describe("explain", () => {
  const question = {
    from: "shop",
    to: "billing",
    fromNode: undefined,
    toNode: undefined,
    subject: "name",
    target: "orders",
  } as const;

  it("says which rule decides, and why those before it do not", () => {
    const { policy } = setUp([
      { action: "deny", from: ["audit"] },
      { id: "casts", action: "deny", names: ["orders"], operations: ["cast"] },
      { action: "allow", pid: true },
    ]);
    expect(policy.explain(question, "call")).toMatchObject({
      allowed: true,
      rule: "routes[0]",
      passed: [
        { rule: "policy[0]", why: "other clusters" },
        { rule: "casts", why: "other operations" },
        { rule: "policy[2]", why: "not about names" },
      ],
    });
    expect(policy.explain(question, "cast")).toMatchObject({ allowed: false, rule: "casts" });
    expect(policy.explain(question, "system")).toMatchObject({ allowed: false, rule: "default:deny" });
  });
});

it("OTP's own processes are told by their numbers where that is sure", () => {
  expect(isKernelPid(0, 0, true)).toBe(true);
  expect(isKernelPid(0, 1, false)).toBe(false);
  expect([isKernelPid(44, 0, false), isKernelPid(50, 0, false), isKernelPid(51, 0, false)]).toEqual([
    true,
    true,
    false,
  ]);
  expect(isKernelPid(44, 0, true)).toBe(false);
  // what a command line or an escript runs
  expect([8, 9, 10, 11].map((id) => isKernelPid(id, 0, false))).toEqual([true, false, false, true]);
  expect([mayBeLoader(10, 0), mayBeLoader(10, 1), mayBeLoader(9, 0)]).toEqual([true, false, false]);
});

describe("functions on a node that is mirrored", () => {
  const rpcAt = (rules: readonly PolicyRule[], mfa: string, node = "billing1@h", sender = "shop1@h") =>
    setUp(rules).policy.rpcAt("shop", "billing", mfa, sender, node, OPERATIONS.indexOf("call"))?.rule;

  it("need a rule that lists them, for that node if it names any", () => {
    const rule: PolicyRule = { id: "ours", action: "allow", rpc: ["orders:look/1"], nodes: ["billing1@h"] };
    expect(rpcAt([], "orders:look/1")).toBeUndefined();
    expect(rpcAt([rule], "orders:look/1")).toBe("ours");
    expect(rpcAt([rule], "orders:drop/1")).toBeUndefined();
    expect(rpcAt([rule], "orders:look/1", "billing2@h")).toBeUndefined();
    expect(rpcAt([{ ...rule, nodes: ["billing*"] }], "orders:look/1", "billing2@h")).toBe("ours");
    const { nodes: _nodes, ...anywhere } = rule;
    expect(rpcAt([anywhere], "orders:look/1", "billing2@h")).toBe("ours");
    expect(rpcAt([{ ...anywhere, to: ["other"] }], "orders:look/1")).toBeUndefined();
    expect(rpcAt([{ ...anywhere, fromNodes: ["shop2@h"] }], "orders:look/1")).toBeUndefined();
  });

  it("the first rule that matches decides, one that denies too", () => {
    const rules: PolicyRule[] = [
      { action: "deny", toNodes: ["billing2@h"] },
      { id: "ours", action: "allow", rpc: ["orders:look/1"] },
    ];
    expect(rpcAt(rules, "orders:look/1")).toBe("ours");
    expect(rpcAt(rules, "orders:look/1", "billing2@h")).toBeUndefined();
    // a rule about everything by pid lets nothing run
    expect(rpcAt([{ action: "allow", pid: true }], "orders:look/1")).toBeUndefined();
  });
});
