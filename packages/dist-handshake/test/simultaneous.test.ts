import { simultaneousDecision } from "@isthmus/dist-handshake";
import { describe, expect, it } from "vitest";

describe("simultaneous connect", () => {
  it.each([
    ["b@h", "a@h", "nok"],
    ["a@h", "b@h", "ok_simultaneous"],
    ["a@h", "a@h", "ok_simultaneous"],
    ["a@hh", "a@h", "nok"],
    ["a@h", "a@hh", "ok_simultaneous"],
    ["a@h", "B@h", "nok"],
    ["é@h", "z@h", "nok"],
    // code points, not UTF-16 units: U+FF21 is less than U+1F600
    ["\u{ff21}@h", "\u{1f600}@h", "ok_simultaneous"],
  ] as const)("acceptor %s, caller %s: %s", (local, peer, decision) => {
    expect(simultaneousDecision(local, peer)).toBe(decision);
  });

  it("lets exactly one of two attempts survive", () => {
    const names = ["a@h", "b@h", "A@h", "ab@h", "z@a.b", "é@h"];
    for (const x of names) {
      for (const y of names) {
        if (x !== y) expect(simultaneousDecision(x, y)).not.toBe(simultaneousDecision(y, x));
      }
    }
  });
});
