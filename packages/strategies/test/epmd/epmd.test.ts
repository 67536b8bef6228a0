import { epmd } from "@isthmus/strategies/epmd";
import { describe, expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { strategyCompliance } from "../compliance.ts";
import { runStrategy } from "../support/run-strategy.ts";

describe("the strategy epmd", () => {
  it("reports its hosts once, each once", async () => {
    const clock = new FakeClock();
    const run = runStrategy(epmd({ hosts: ["a@h", "b@10.0.0.1", "a@h"] }), { clock });
    await run.started;
    clock.advance(3_600_000);
    expect(run.reports).toEqual([{ ok: true, nodes: ["a@h", "b@10.0.0.1"] }]);
  });

  it.each(["shop1", "@host", "shop1@", "a@b@c"])("refuses %j as a host", (host) => {
    expect(() => epmd({ hosts: ["ok@h", host] })).toThrow(
      expect.objectContaining({ code: "STRATEGY_OPTIONS_INVALID", context: { host } }),
    );
  });

  it.each([0, 5000, "5000", "infinity", ":infinity", Number.POSITIVE_INFINITY])(
    "takes libcluster's timeout %j",
    async (timeout) => {
      const run = runStrategy(epmd.from({ hosts: ["a@h"], timeout }));
      await run.started;
      expect(run.nodes()).toEqual(["a@h"]);
    },
  );
});

strategyCompliance("epmd", {
  source: () => ({ nodes: ["a@h", "b@h"], make: () => epmd({ hosts: ["a@h", "b@h"] }) }),
  badOptions: {
    "no hosts": () => epmd.from({}),
    "a host that is empty": () => epmd({ hosts: [""] }),
    "a timeout that is none": () => epmd.from({ hosts: ["a@h"], timeout: "soon" }),
    "a negative timeout": () => epmd.from({ hosts: ["a@h"], timeout: -1 }),
    "an unknown option": () => epmd.from({ hosts: ["a@h"], host: "b@h" }),
  },
});
