import { reconcile } from "@isthmus/strategies";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

describe("reconcile", () => {
  it("connects what is wanted and not there", () => {
    expect(
      reconcile({ self: "me@h", wanted: ["c@h", "a@h", "b@h", "a@h"], connected: ["b@h", "x@h"] }),
    ).toEqual({
      connect: ["c@h", "a@h"],
      obsolete: [],
    });
  });

  it("never names ourselves", () => {
    expect(
      reconcile({ self: "me@h", wanted: ["me@h"], connected: ["me@h"], previous: ["me@h", "a@h"] }),
    ).toEqual({ connect: [], obsolete: [] });
  });

  it("finds obsolete only what was wanted once", () => {
    const found = reconcile({
      self: "me@h",
      wanted: ["a@h"],
      connected: ["a@h", "b@h", "by-hand@h"],
      previous: ["a@h", "b@h", "c@h"],
    });
    expect(found).toEqual({ connect: [], obsolete: ["b@h"] });
  });

  it("has nothing left to do once its answer was followed", () => {
    const nodes = fc.array(fc.constantFrom("a@h", "b@h", "c@h", "d@h", "me@h"));
    fc.assert(
      fc.property(nodes, nodes, nodes, (wanted, connected, previous) => {
        const { connect, obsolete } = reconcile({ self: "me@h", wanted, connected, previous });
        const after = [...connected, ...connect].filter((node) => !obsolete.includes(node));
        expect(reconcile({ self: "me@h", wanted, connected: after, previous })).toEqual({
          connect: [],
          obsolete: [],
        });
        for (const node of wanted) expect(obsolete).not.toContain(node);
      }),
    );
  });
});
