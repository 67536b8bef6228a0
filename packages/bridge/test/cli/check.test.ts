import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { elixirAtom, erlangAtom } from "../../src/cli/commands/check.ts";
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
