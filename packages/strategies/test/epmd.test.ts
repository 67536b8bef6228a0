import { epmd } from "@isthmus/strategies";
import { describe, expect, it } from "vitest";
import { FakeClock } from "../../../test/support/fake-clock.ts";
import { recordingLogger } from "./support/fake-cluster.ts";

describe("the strategy epmd", () => {
  it("reports its hosts once, each once", async () => {
    const reports: unknown[] = [];
    const strategy = epmd({ hosts: ["a@h", "b@10.0.0.1", "a@h"] });
    await strategy.start({
      self: "me@h",
      report: (discovery) => reports.push(discovery),
      logger: recordingLogger(),
      clock: new FakeClock(),
      signal: new AbortController().signal,
    });
    expect(reports).toEqual([{ ok: true, nodes: ["a@h", "b@10.0.0.1"] }]);
    await strategy.stop();
    await strategy.stop();
  });

  it.each(["shop1", "@host", "shop1@", "a@b@c", ""])("refuses %j as a host", (host) => {
    expect(() => epmd({ hosts: ["ok@h", host] })).toThrow(
      expect.objectContaining({ code: "STRATEGY_OPTIONS_INVALID", context: { host } }),
    );
  });
});
