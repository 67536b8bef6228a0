import { systemClock } from "@isthmus/wire";
import { describe, expect, it } from "vitest";
import { describeConfig } from "../../src/cli/describe.ts";
import { type BridgeConfig, parseConfig } from "../../src/config/config.ts";
import { Policy } from "../../src/policy/policy.ts";
import { refusalOf } from "./support.ts";

const CLUSTERS = `clusters:
  shop: { node: bridge@10.0.0.5, cookie: a }
  billing: { node: billing_bridge@10.0.0.5, cookie: b }
`;
const parse = (text: string): Promise<BridgeConfig> =>
  parseConfig(`${CLUSTERS}${text}`, { file: "isthmus.yaml", env: {} });

const problems = (text: string): Promise<string> => refusalOf(parse(text));

describe("routes with patterns", () => {
  it("stand for all names and nodes that fit, which nobody dials", async () => {
    const config = await parse(
      `routes: [{ from: shop, to: billing, name: "orders_*", as: "billing_*", nodes: ["billing*@10.0.1.*", b@10.0.1.1] }]`,
    );
    expect(config.routes).toEqual([
      {
        from: "shop",
        to: "billing",
        name: "orders_*",
        as: "billing_*",
        nodes: ["billing*@10.0.1.*", "b@10.0.1.1"],
      },
    ]);
    const text = describeConfig(config);
    expect(text).toContain("  dials        b@10.0.1.1\n");
    expect(text).toContain(
      "  may use      orders_* of billing, as billing_*, on billing*@10.0.1.*, b@10.0.1.1, the first that is up",
    );
  });

  it.each([
    ['name: "a*", as: b', "routes[0].as must have as many * as name (1)"],
    ['name: a, as: "b*"', "routes[0].as must have as many * as name (0)"],
  ])("say what is wrong with %s", async (names, message) => {
    expect(await problems(`routes: [{ from: shop, to: billing, ${names}, node: b@10.0.1.1 }]`)).toContain(
      message,
    );
  });
});

describe("mirrors", () => {
  it("have their ports in two forms", async () => {
    const config = await parse(`mirrors:
  - { from: shop, to: billing, nodes: "billing*@*", as: "{name}@10.0.0.5", ports: 9200-9299, max: 10 }
  - { from: billing, to: shop, ports: { from: 1, to: "2" } }
`);
    expect(config.mirrors).toEqual([
      {
        from: "shop",
        to: "billing",
        nodes: ["billing*@*"],
        as: "{name}@10.0.0.5",
        ports: { from: 9200, to: 9299 },
        max: 10,
      },
      { from: "billing", to: "shop", ports: { from: 1, to: 2 } },
    ]);
    const text = describeConfig(config);
    expect(text).toContain(
      "  sees         the nodes billing*@* of billing as {name}@10.0.0.5, on the ports 9200 to 9299, at most 10",
    );
    expect(text).toContain("  sees         the nodes of shop under their own names at the bridge's host, ");
  });

  it.each([
    ["{ from: shop, to: billing, ports: 9200 }", "mirrors[0].ports must be a range of ports"],
    ["{ from: shop, to: billing, ports: 9299-9200 }", "mirrors[0].ports must be a range of ports"],
    ["{ from: shop, to: billing, ports: 0-70000 }", "mirrors[0].ports must be a range of ports"],
    ["{ from: shop, to: billing, ports: { from: 1 } }", "mirrors[0].ports lacks the key to"],
    ["{ from: shop, to: shop }", "mirrors[0].to is the cluster that the mirror comes from"],
    ["{ from: shop, to: billng }", 'did you mean "billing"?'],
    ["{ from: shop, to: billing, as: x@10.0.0.5 }", "mirrors[0].as must have {name} in it"],
    ['{ from: shop, to: billing, as: "{name}" }', "mirrors[0].as must be a node name"],
    ["{ from: shop, to: billing, max: 0 }", "mirrors[0].max must be a number of mirrors"],
  ])("say what is wrong with %s", async (mirror, message) => {
    expect(await problems(`mirrors:\n  - ${mirror}\n`)).toContain(message);
  });
});

describe("groups", () => {
  it("are named by patterns, or by the name of a Phoenix.PubSub", async () => {
    const { groups, policy, policyMode, routes, ...config } = await parse(`groups:
  - { from: shop, to: billing, scope: my_scope, groups: ["{room,*}", orders], form: members, named: true, max_members: 5, max_members_per_group: 2 }
  - { from: billing, to: shop, phoenix_pubsub: Shop.PubSub }
  - { from: shop, to: billing, phoenix_pubsub: Elixir.Shop.PubSub, form: members, named: false }
`);
    expect(groups).toEqual([
      {
        from: "shop",
        to: "billing",
        scope: "my_scope",
        groups: ["{room,*}", "orders"],
        form: "members",
        named: true,
        maxMembers: 5,
        maxMembersPerGroup: 2,
      },
      {
        from: "billing",
        to: "shop",
        scope: "Elixir.Phoenix.PubSub",
        groups: ["'Elixir.Shop.PubSub.Adapter'", "'Elixir.Shop.PubSub.Adapter_*'"],
        form: "fan_out",
        named: true,
      },
      {
        from: "shop",
        to: "billing",
        scope: "Elixir.Phoenix.PubSub",
        groups: ["'Elixir.Shop.PubSub.Adapter'", "'Elixir.Shop.PubSub.Adapter_*'"],
        form: "members",
        named: false,
      },
    ]);
    const rules = new Policy({ rules: policy, routes, groups, mode: policyMode, clock: systemClock });
    const seen = (target: string) =>
      rules.explain(
        { from: "billing", to: "shop", fromNode: undefined, toNode: undefined, subject: "group", target },
        "group",
      ).allowed;
    expect(["'Elixir.Shop.PubSub.Adapter'", "'Elixir.Shop.PubSub.Adapter_2'"].map(seen)).toEqual([
      true,
      true,
    ]);
    expect(seen("'Elixir.Shop.Secrets'")).toBe(false);
    expect(describeConfig({ groups, policy, policyMode, routes, ...config })).toContain(
      "  sees         one process for all members of the groups 'Elixir.Shop.PubSub.Adapter', 'Elixir.Shop.PubSub.Adapter_*' of shop, in the scope Elixir.Phoenix.PubSub",
    );
  });

  it.each([
    ["{ from: shop, to: billing }", "groups[0] lacks the key groups (or phoenix_pubsub)"],
    ["{ from: shop, to: billing, groups: [] }", "groups[0].groups must name at least one"],
    [
      "{ from: shop, to: billing, phoenix_pubsub: Shop.PubSub, groups: a }",
      "groups[0].groups is what phoenix_pubsub stands for",
    ],
    ["{ from: shop, to: billing, phoenix_pubsub: shop }", "groups[0].phoenix_pubsub must be the name of"],
    ["{ from: shop, to: billing, groups: a, form: fanout }", "groups[0].form must be members or fan_out"],
    ["{ from: shop, to: nobody, groups: a }", "groups[0].to names no cluster of this file"],
  ])("say what is wrong with %s", async (group, message) => {
    expect(await problems(`groups:\n  - ${group}\n`)).toContain(message);
  });

  it("may be what a rule is about", async () => {
    const { policy } = await parse(
      'policy: [{ action: deny, to: billing, groups: "{room,*}", to_nodes: "b*" }]',
    );
    expect(policy).toEqual([{ action: "deny", to: ["billing"], groups: ["{room,*}"], toNodes: ["b*"] }]);
    expect(await problems("policy: [{ action: allow, groups: a, rate: { per_second: 1 } }]")).toContain(
      "policy[0].rate has no meaning for groups",
    );
    expect(await problems("policy: [{ action: allow, groups: a, names: b }]")).toContain("are both given");
  });
});

it("the bridge's own bounds are numbers", async () => {
  expect((await parse("limits: { max_relations: 5, max_message_bytes: 1000 }\n")).limits).toEqual({
    maxRelations: 5,
    maxMessageBytes: 1000,
  });
  expect(await problems("limits: { max_relatoins: 5 }\n")).toContain('Did you mean "max_relations"?');
  expect(await problems("limits: { max_relations: 0 }\n")).toContain("limits.max_relations must be");
});
