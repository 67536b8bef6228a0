import { epmd, pollingStrategy, type Strategy } from "@isthmus/strategies";
import { IsthmusError } from "@isthmus/wire";
import { describe, expect, it } from "vitest";
import {
  COMPLIANCE_CHECKS,
  type ComplianceOptions,
  type ComplianceSource,
  checkRefusal,
  strategyCompliance,
} from "./compliance.ts";

const nodes = ["a@h", "b@h"];

function polled(): ComplianceSource {
  let down = false;
  return {
    nodes,
    make: () =>
      pollingStrategy({
        intervalMs: 10,
        discover: async () => {
          if (down) throw new IsthmusError("DISCOVERY_FAILED", "Down.");
          return { nodes };
        },
      }),
    fail: () => {
      down = true;
    },
  };
}

strategyCompliance("a polling strategy", { source: polled, secrets: ["hunter2"] });
strategyCompliance("a fixed list", {
  source: () => ({ nodes, make: () => epmd({ hosts: nodes }) }),
  badOptions: { "a host without a name": () => epmd({ hosts: ["@h"] }) },
});

/** What is wrong with a strategy is found by the check of that sentence. */
describe("the compliance suite finds", () => {
  const check = (sentence: string, options: Partial<ComplianceOptions> & Pick<ComplianceOptions, "source">) =>
    COMPLIANCE_CHECKS[sentence]!({ withinMs: 200, ...options });
  const source = (strategy: () => Strategy, fail?: () => void): ComplianceSource => ({
    nodes,
    make: strategy,
    ...(fail === undefined ? {} : { fail }),
  });
  const good = { stop: async () => undefined };

  it("missing nodes, and none", async () => {
    const short = source(() => ({ ...good, start: (to) => to.report({ ok: true, nodes: ["a@h"] }) }));
    await expect(check("reports all its nodes", { source: () => short })).rejects.toThrow();
    const mute = source(() => ({ ...good, start: () => undefined }));
    await expect(check("reports all its nodes", { source: () => mute })).rejects.toThrow(/200 ms/);
  });

  it("timers and handles that stay", async () => {
    const timer = source(() => ({
      ...good,
      start: (to) => {
        to.clock.after(1e6, () => undefined);
        to.report({ ok: true, nodes });
      },
    }));
    await expect(check("leaves no timer and no handle", { source: () => timer })).rejects.toThrow(/timers/);
  });

  it("words after the end", async () => {
    const chatty = source(() => {
      let report = (): void => undefined;
      return {
        ...good,
        start: (to) => {
          report = () => to.report({ ok: true, nodes });
          report();
        },
        refresh: () => report(),
      };
    });
    for (const sentence of [
      "says nothing after it was aborted",
      "can be stopped before its first answer, and then says nothing",
    ])
      await expect(check(sentence, { source: () => chatty })).rejects.toThrow(/reports after/);
  });

  it("a stop that cannot be called again", async () => {
    const once = source(() => {
      let stopped = false;
      return {
        start: (to) => to.report({ ok: true, nodes }),
        stop: async () => {
          if (stopped) throw new Error("stopped already");
          stopped = true;
        },
      };
    });
    await expect(check("can be stopped twice, also at once", { source: () => once })).rejects.toThrow();
  });

  it("a failure that looks like an empty cluster, or has no code of ours", async () => {
    let down = false;
    const broken = (report: (to: Parameters<Strategy["start"]>[0]) => void): ComplianceSource =>
      source(
        () => {
          let context: Parameters<Strategy["start"]>[0] | undefined;
          return {
            ...good,
            start: (to) => {
              context = to;
              to.report({ ok: true, nodes });
            },
            refresh: () => {
              if (down) report(context!);
            },
          };
        },
        () => {
          down = true;
        },
      );
    const sentence = "reports a failure as a failure with a code, never as fewer nodes";
    const silent = broken((to) => to.report({ ok: true, nodes: [] }));
    await expect(check(sentence, { source: () => silent })).rejects.toThrow(/200 ms/);
    down = false;
    const uncoded = broken((to) => to.report({ ok: false, error: new Error("Down.") as IsthmusError }));
    await expect(check(sentence, { source: () => uncoded })).rejects.toThrow(/has a code/);
    down = false;
    const foreign = broken((to) =>
      to.report({ ok: false, error: new IsthmusError("OOPS", "Token hunter2") }),
    );
    await expect(check("tells no secrets", { source: () => foreign, secrets: ["hunter2"] })).rejects.toThrow(
      /a secret is shown/,
    );
  });

  it("options that are taken although they are wrong", () => {
    expect(() => checkRefusal(() => undefined, {})).toThrow();
  });
});
