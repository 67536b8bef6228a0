import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { elixirAtom, erlangAtom } from "../../src/cli/atoms.ts";
import { check } from "../../src/cli/commands/check.ts";
import { describeConfig } from "../../src/cli/describe.ts";
import { parseConfig } from "../../src/config/config.ts";
import { explain } from "../../src/policy/explain.ts";
import { isthmus } from "./support/isthmus.ts";

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "isthmus-check-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(text: string): string {
  const file = join(folder, "isthmus.yaml");
  writeFileSync(file, text);
  return file;
}

describe("isthmus check", () => {
  it("says what a configuration would do", async () => {
    const file = write(`
clusters:
  shop:
    node: bridge@10.0.0.5
    cookie: \${SHOP_COOKIE}
    discovery: { hosts: [shop1@10.0.0.11, shop2@10.0.0.12] }
  billing:
    node: bridge@10.0.0.5
    cookie: s3cret-billing
    listen: { host: 10.0.0.5, port: 9200 }
    epmd: { port: 4370, embedded: never }
    discovery: { hosts: [billing1@10.0.1.21] }
  audit: { node: bridge@hosta, cookie: s3cret-audit, epmd: { register: false } }
routes:
  - { from: shop, to: billing, name: Elixir.Billing.Orders, nodes: [billing1@10.0.1.21, billing2@10.0.1.22] }
  - { from: shop, to: billing, name: Ledger-2, as: ledger, node: billing1@10.0.1.21 }
`);
    const { status, stdout, stderr } = await isthmus(["check", file], {
      SHOP_COOKIE: "s3cret-shop",
      ERL_EPMD_PORT: "4400",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toBe(`${file} is in order.

cluster shop
  is           bridge@10.0.0.5, a hidden node, on all addresses, any free port
  registers    with the epmd at 127.0.0.1:4400, or starts one if none is there
  dials        shop1@10.0.0.11, shop2@10.0.0.12
  may use      Elixir.Billing.Orders of billing, on billing1@10.0.1.21, billing2@10.0.1.22, the first that is up
                 GenServer.call({Billing.Orders, :"bridge@10.0.0.5"}, request)
                 gen_server:call({'Elixir.Billing.Orders', 'bridge@10.0.0.5'}, Request)
  may use      Ledger-2 of billing, on billing1@10.0.1.21
                 GenServer.call({:ledger, :"bridge@10.0.0.5"}, request)
                 gen_server:call({ledger, 'bridge@10.0.0.5'}, Request)

cluster billing
  is           bridge@10.0.0.5, a hidden node, on 10.0.0.5, port 9200
  registers    with the epmd at 127.0.0.1:4370
  dials        billing1@10.0.1.21, billing2@10.0.1.22
  may use      nothing of the other clusters

cluster audit
  is           bridge@hosta, a hidden node, on all addresses, any free port
  registers    with no epmd: nodes of the cluster cannot find it by themselves
  dials        nobody: nodes of the cluster have to connect to it
  may use      nothing of the other clusters
`);
  });

  it("says all that is wrong, on standard error, and ends with status 3", async () => {
    const file = write("clusters:\n  shop: { node: bridge, cokie: s3cret }\n");
    const { status, stdout, stderr } = await isthmus(["check", file]);
    expect({ status, stdout }).toEqual({ status: 3, stdout: "" });
    expect(stderr).toBe(`isthmus: ${file} has 4 problems:

${file}:1:1: clusters must have at least two clusters: the bridge is between them.
  1 | clusters:
    | ^

${file}:2:3: clusters.shop lacks the key cookie.
  2 |   shop: { node: bridge, cokie: *** }
    |   ^

${file}:2:17: clusters.shop.node is not a node name: it has no '@'. Write it as name@host.
  2 |   shop: { node: bridge, cokie: *** }
    |                 ^

${file}:2:25: clusters.shop.cokie is not a key of this place. Did you mean "cookie"?
  2 |   shop: { node: bridge, cokie: *** }
    |                         ^
`);
  });
});

it("isthmus check says whom the bridge dials for routes, mirrors and rules", async () => {
  const text = describeConfig(
    await parseConfig(
      `
clusters:
  shop: { node: bridge@10.0.0.5, cookie: a }
  billing: { node: billing_bridge@10.0.0.5, cookie: b, discovery: { hosts: [billing1@10.0.1.21] } }
routes: [{ from: shop, to: billing, name: orders, nodes: ["b*@10.0.1.21", billing2@10.0.1.21] }]
mirrors: [{ from: shop, to: billing, nodes: [billing3@10.0.1.21, "b*@10.0.1.22"] }]
policy: [{ action: allow, to: billing, rpc: "m:f/1", nodes: [billing4@10.0.1.21] }]
`,
      { file: "isthmus.yaml", env: {} },
    ),
  );
  expect(text).toContain(
    "  dials        billing1@10.0.1.21, billing2@10.0.1.21, billing3@10.0.1.21, billing4@10.0.1.21\n",
  );
  expect(text).toContain("under their own names at the bridge's host, at most 64\n");
});

const BASE = `
clusters:
  shop: { node: bridge@10.0.0.5, cookie: a }
  billing: { node: billing_bridge@10.0.0.5, cookie: b }
routes:
  - { from: shop, to: billing, name: orders, as: billing_orders, node: billing1@10.0.1.21 }
`;
const RULES = `
policy:
  - { id: no-casts, action: deny, from: shop, names: ord*, operations: cast }
  - { action: allow, from: shop, from_nodes: admin@*, to: billing, pid: true, operations: exit }
  - { action: allow, to: billing, rpc: ["orders:lookup/1"], nodes: billing2@10.0.1.22, max_bytes: 100, rate: { per_second: 5 } }
  - { action: allow, names: logger, audit: true, funs: true }
`;
const config = (text: string) => parseConfig(text, { file: "isthmus.yaml", env: {} });

describe("isthmus check, of a policy", () => {
  it("shows the rules in their order, and warns of names that give a node away", async () => {
    const text = describeConfig(await config(BASE + RULES));
    expect(text).toContain("  dials        billing1@10.0.1.21, billing2@10.0.1.22");
    expect(text.slice(text.indexOf("policy,"))).toBe(`policy, the first rule that matches decides
  no-casts: deny shop -> any cluster; names ord*; operations cast
  policy[1]: allow shop -> billing; processes by pid; operations exit; from nodes admin@*
  policy[2]: allow any cluster -> billing; functions orders:lookup/1; run on billing2@10.0.1.22; at most 100 bytes; at most 5 a second, 5 at once
  policy[3]: allow any cluster -> any cluster; names logger; funs too; logged

warning: policy[3] allows logger, a process of OTP with which a node can be taken over.`);
    expect(describeConfig(await config(`${BASE}policy_mode: log\n`))).toContain("mode log");
    expect(describeConfig(await config(BASE))).not.toContain("policy");
  });

  const answer = async (question: string, more = "") => explain(await config(BASE + RULES + more), question);

  it("says which rule decides about a signal, and why", async () => {
    expect(await answer("shop -> billing call billing_orders")).toEqual({
      allowed: true,
      text: `shop -> billing call billing_orders: allowed
  routes[0] decides
  not no-casts: other operations
  not policy[1]: not about names
  not policy[2]: not about names
  not policy[3]: other names`,
    });
    expect(await answer("shop -> billing cast orders")).toEqual({
      allowed: false,
      text: "shop -> billing cast orders: refused\n  no-casts decides",
    });
    expect(await answer("shop -> billing call orders:lookup/1")).toMatchObject({
      allowed: true,
      text: expect.stringContaining(
        "policy[2] decides\n  up to 100 bytes\n  up to 5 a second, 5 at once, from all of shop\n  on billing2@10.0.1.22\n",
      ),
    });
  });

  it.each([
    ["shop/admin@10.0.0.9 -> billing exit pid", true, "policy[1] decides"],
    ["shop/shop1@10.0.0.9 -> billing exit pid", false, "default:deny decides: nothing allows it"],
    [
      "shop->billing link pid",
      true,
      "default:pids decides: processes of clusters that a route or groups join",
    ],
    ["billing -> shop reply pid", true, "default:pids decides"],
    ["shop -> billing call os:cmd/1", false, "default:deny decides"],
    ["shop -> billing spawn orders:lookup/1", false, "not policy[2]: other operations"],
    ["shop -> billing info logger", false, "policy[3] decides\n  but no route exports logger to shop"],
    ["shop -> billing system billing_orders", false, "default:deny decides"],
  ])("%s: %s", async (question, allowed, text) => {
    expect(await answer(question)).toMatchObject({ allowed, text: expect.stringContaining(text) });
  });

  it("says what is carried for a trial", async () => {
    expect(await answer("shop -> billing cast orders", "policy_mode: log\n")).toMatchObject({
      allowed: true,
      text: expect.stringContaining("refused, but carried (policy_mode: log)"),
    });
    expect(await answer("shop -> billing group_leader pid", "policy_mode: log\n")).toMatchObject({
      allowed: false,
    });
  });

  it.each([
    ["shop billing call", "is no question. Ask CLUSTER[/NODE] -> CLUSTER[/NODE] OPERATION TARGET"],
    ["shop -> biling call orders", "There is no cluster biling. Did you mean billing?"],
    ["shop -> billing cal orders", "cal is no operation. Did you mean call?"],
    ["shop/admin -> billing call orders", "admin is no node name"],
  ])("says what is wrong with a question: %s", async (question, problem) => {
    expect(await answer(question)).toEqual({ problem: expect.stringContaining(problem) });
  });

  it("ends with a status that a script can use", async () => {
    const file = write(BASE + RULES);
    const said: string[] = [];
    const spies = (["log", "error"] as const).map((method) =>
      vi.spyOn(console, method).mockImplementation((text: string) => void said.push(text)),
    );
    expect(await check(file, { explain: "shop -> billing call orders" })).toBe(0);
    expect(await check(file, { explain: "shop -> billing cast orders" })).toBe(1);
    expect(await check(file, { explain: "nonsense" })).toBe(2);
    for (const spy of spies) spy.mockRestore();
    expect(said[1]).toContain("no-casts decides");
    expect(said[2]).toContain("isthmus: ");
  });
});

describe("atoms", () => {
  it.each([
    ["orders", "orders", ":orders"],
    ["orders_2", "orders_2", ":orders_2"],
    ["Orders", "'Orders'", ":Orders"],
    ["a-b", "'a-b'", ':"a-b"'],
    ["bridge@10.0.0.5", "'bridge@10.0.0.5'", ':"bridge@10.0.0.5"'],
    ["bridge@host", "bridge@host", ':"bridge@host"'],
    ["Elixir.Shop.Orders", "'Elixir.Shop.Orders'", "Shop.Orders"],
    ["Elixir.shop", "'Elixir.shop'", ':"Elixir.shop"'],
    ["end", "'end'", ":end"],
    ["ok?", "'ok?'", ":ok?"],
    ["it's", "'it\\'s'", ':"it\'s"'],
    ['a"#{b}\\', `'a"#{b}\\\\'`, ':"a\\"\\#{b}\\\\"'],
  ])("%s is written %s in Erlang and %s in Elixir", (text, erlang, elixir) => {
    expect([erlangAtom(text), elixirAtom(text)]).toEqual([erlang, elixir]);
  });
});
