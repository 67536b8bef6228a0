import { type Atom, atom, Pid } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { type Balance, ExportedName } from "../../src/routing/exported-name.ts";

const nodes = ["b1@h", "b2@h", "b3@h"].map((node) => atom(node));
const caller = (id: number): Pid => new Pid(atom("a1@h"), id, 0, 5);

function setUp(balance: Balance, up: readonly string[]) {
  const exported = new ExportedName(atom("orders"), {}, atom("orders"), nodes, balance);
  const isUp = (node: Atom): boolean => up.includes(node.text);
  return { exported, pick: (id: number) => exported.pick(caller(id), isUp).text };
}

describe("an exported name", () => {
  it("first_up takes the first node that is up", () => {
    expect(setUp("first_up", ["b2@h", "b3@h"]).pick(1)).toBe("b2@h");
  });

  it("takes the first of all when none is up, so that it is dialed", () => {
    expect(setUp("first_up", []).pick(1)).toBe("b1@h");
  });

  it("round_robin takes turns among those that are up", () => {
    const { pick } = setUp("round_robin", ["b1@h", "b3@h"]);
    expect([pick(1), pick(1), pick(1), pick(1)]).toEqual(["b1@h", "b3@h", "b3@h", "b1@h"]);
  });

  it("holds a caller to the node of its monitor, and only that caller", () => {
    const { exported, pick } = setUp("round_robin", ["b1@h", "b2@h", "b3@h"]);
    exported.hold(caller(1), nodes[2]!);
    exported.hold(caller(1), nodes[2]!);
    expect([pick(1), pick(1), pick(2), pick(2)]).toEqual(["b3@h", "b3@h", "b1@h", "b2@h"]);
    exported.release(caller(1));
    expect(pick(1)).toBe("b3@h");
    exported.release(caller(1));
    expect(pick(1)).toBe("b3@h"); // its turn
    expect(pick(1)).toBe("b1@h");
  });
});
