import { silentLogger } from "@isthmus/wire";
import { expect, it } from "vitest";
import { GroupEntry } from "../../src/groups/group-entry.ts";
import { phoenixPubSub } from "../../src/groups/phoenix-pubsub.ts";

it("stands for the groups of the adapter, of each worker of its pool", () => {
  const groups = phoenixPubSub({ from: "shop", to: "billing", name: "Shop.PubSub" });
  expect(groups).toEqual({
    from: "shop",
    to: "billing",
    scope: "Elixir.Phoenix.PubSub",
    groups: ["'Elixir.Shop.PubSub.Adapter'", "'Elixir.Shop.PubSub.Adapter_*'"],
    form: "fan_out",
    named: true,
  });
  expect(phoenixPubSub({ from: "shop", to: "billing", name: "Elixir.Shop.PubSub" })).toEqual(groups);
  const entry = new GroupEntry(groups, silentLogger);
  const fits = ["Adapter", "Adapter_2", "Adapter_16"].map((worker) =>
    entry.fits(`'Elixir.Shop.PubSub.${worker}'`),
  );
  expect(fits).toEqual([true, true, true]);
  expect(entry.fits("'Elixir.Shop.PubSub2.Adapter'")).toBe(false);
});
