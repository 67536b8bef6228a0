import { type Atom, atom, Pid } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { type Balance, NodeChoice } from "../../src/routing/node-choice.ts";

const NODES = ["b1@h", "b2@h", "b3@h"];
const ORDERS = atom("orders");
const caller = (id: number): Pid => new Pid(atom("a1@h"), id, 0, 5);

/** The connected nodes of a cluster. */
class Connected {
  version = 0;
  up: readonly string[];
  constructor(up: readonly string[]) {
    this.up = up;
  }
  has = (node: Atom): boolean => this.up.includes(node.text);
  names = (): Atom[] => this.up.map((node) => atom(node));
  set(up: readonly string[]): void {
    this.up = up;
    this.version++;
  }
}

function setUp(balance: Balance, up: readonly string[], nodes: readonly string[] = NODES) {
  const connected = new Connected(up);
  const choice = new NodeChoice(nodes, balance, connected);
  return {
    choice,
    connected,
    pick: (id: number, name = ORDERS) => choice.pick(caller(id), name)?.text,
    names: () => choice.nodes.map((node) => node.text),
  };
}

describe("a choice of nodes", () => {
  it("first_up takes the first node that is up", () => {
    expect(setUp("first_up", ["b2@h", "b3@h"]).pick(1)).toBe("b2@h");
  });

  it("takes the first of all when none is up, so that it is dialled", () => {
    expect(setUp("first_up", []).pick(1)).toBe("b1@h");
  });

  it("round_robin takes turns among those that are up", () => {
    const { pick } = setUp("round_robin", ["b1@h", "b3@h"]);
    expect([pick(1), pick(1), pick(1), pick(1)]).toEqual(["b1@h", "b3@h", "b3@h", "b1@h"]);
  });

  it("holds a caller to the node of its monitor, that caller and that name only", () => {
    const { choice, pick } = setUp("round_robin", NODES);
    const node = atom("b3@h");
    choice.hold(caller(1), ORDERS, node);
    choice.hold(caller(1), ORDERS, node);
    expect([pick(1), pick(1), pick(2), pick(1, atom("other"))]).toEqual(["b3@h", "b3@h", "b1@h", "b2@h"]);
    choice.release(caller(1), ORDERS);
    expect(pick(1)).toBe("b3@h");
    choice.release(caller(1), ORDERS);
    expect(pick(1)).toBe("b3@h"); // its turn
    expect(pick(1)).toBe("b1@h");
  });

  it("of a pattern those count that are connected, and they come and go", () => {
    const { pick, names, connected } = setUp("first_up", ["shop1@h"], ["billing*"]);
    expect(pick(1)).toBeUndefined();
    connected.set(["billing1@h", "billing2@h", "shop1@h"]);
    expect(names()).toEqual(["billing1@h", "billing2@h"]);
    connected.set(["billing2@h"]);
    expect(pick(1)).toBe("billing2@h");
    connected.set([]);
    expect(pick(1)).toBeUndefined();
  });

  it("names that are written out stay in their place among those of patterns, each once", () => {
    const { names } = setUp("first_up", ["b1@h", "b2@h", "b3@h"], ["b3@h", "b*", "b9@h"]);
    expect(names()).toEqual(["b3@h", "b1@h", "b2@h", "b9@h"]);
  });

  it("a caller stays with its node although others come", () => {
    const { choice, pick, connected } = setUp("first_up", ["b2@h"], ["b*"]);
    choice.hold(caller(1), ORDERS, atom(pick(1)!));
    connected.set(["b1@h", "b2@h"]);
    expect([pick(1), pick(2)]).toEqual(["b2@h", "b1@h"]);
  });
});
