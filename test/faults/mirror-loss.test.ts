// Between two nodes that are mirrored to each other there are two connections, one in each cluster; to the nodes they are
// one: when it is lost, both are told, of nodes and processes alike.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startTwoClusters, type TwoClusters, until } from "../e2e/two-clusters.ts";

let clusters: TwoClusters;
beforeEach(async () => {
  clusters = await startTwoClusters({
    ...({ otpA: 25, otpB: 27, routes: [] } as const),
    bridge: {
      mirrors: [
        { from: "a", to: "b" },
        { from: "b", to: "a" },
      ],
      policy: [{ action: "allow", names: ["orders"] }],
    },
  });
  const { a, b, bridge } = clusters;
  await until(
    () => bridge.status().mirrors.filter(({ port }) => port !== undefined).length === 2,
    "both nodes are mirrored",
  );
  for (const beam of [a, b]) await beam.eval("isthmus_probe:orders(orders)");
  await a.eval(watch("'b1@127.0.0.1'"));
  await b.eval(watch("'a1@127.0.0.1'"));
});
afterEach(() => clusters?.stop());

/** Watches a node, a process there by its name and by its pid, and calls it. */
const watch = (node: string): string =>
  `true = erlang:monitor_node(${node}, true), {P, _} = gen_server:call({orders, ${node}}, whoami),
   M1 = erlang:monitor(process, {orders, ${node}}), M2 = erlang:monitor(process, P), Self = self(),
   spawn(fun() -> Self ! {failed, catch gen_server:call({orders, ${node}}, never, infinity)} end), gen_server:call(P, {add, 1, 2})`;

/** What each of both is told. */
async function told(): Promise<string[]> {
  const { a, b } = clusters;
  return Promise.all(
    [a, b].map((beam) =>
      beam.eval(
        `{receive {nodedown, N} -> N after 10000 -> nothing end,
          receive {'DOWN', M1, _, _, R1} -> R1 after 10000 -> nothing end,
          receive {'DOWN', M2, _, _, R2} -> R2 after 10000 -> nothing end,
          receive {failed, {'EXIT', {{nodedown, _}, _}}} -> failed after 10000 -> nothing end}`,
        { timeoutMs: 60_000 },
      ),
    ),
  );
}

describe("two nodes that are mirrored to each other lose each other", () => {
  it.each([
    ["when the bridge loses one of them", () => clusters.bridge.node("a").disconnect("a1@127.0.0.1")],
    [
      "when one of them loses the mirror of the other",
      () => clusters.a.eval("erlang:disconnect_node('b1@127.0.0.1')"),
    ],
    [
      "when one of them is not shown to the other any more",
      () => clusters.bridge.reload({ routes: [], mirrors: [{ from: "a", to: "b" }] }),
    ],
  ])("%s", async (_, happens) => {
    await happens();
    expect(await told()).toEqual([
      "{'b1@127.0.0.1',noconnection,noconnection,failed}",
      "{'a1@127.0.0.1',noconnection,noconnection,failed}",
    ]);
  });
});
