import type { Connection } from "@isthmus/core";
import { type Atom, type Pid, Reference } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { Barriers, NOBODY } from "../../src/routing/barriers.ts";

function connected() {
  const asked: { from: Pid; target: Pid | Atom; ref: Reference }[] = [];
  const connection = {
    ...{ localName: "a1@mirror", localCreation: 9, closeReason: undefined as Error | undefined },
    signals: {
      monitor: (from: Pid, target: Pid | Atom, ref: Reference) => void asked.push({ from, target, ref }),
    },
  };
  return { asked, connection, barriers: new Barriers() };
}

describe("a barrier", () => {
  it("is reached when its own monitor is answered, and no other", async () => {
    const { asked, connection, barriers } = connected();
    const order: number[] = [];
    const both = [1, 2].map((n) =>
      barriers.reached(connection as unknown as Connection).then(() => order.push(n)),
    );
    expect(asked.map(({ target }) => target)).toEqual([NOBODY, NOBODY]);
    for (const { from, ref } of asked) {
      expect([from.node.text, from.creation, ref.node.text, ref.creation]).toEqual([
        "a1@mirror",
        9,
        "a1@mirror",
        9,
      ]);
      // OTP 23
      expect(ref.words).toHaveLength(3);
      expect(ref.words[0]).toBeLessThan(2 ** 18);
    }
    const [first, second] = asked.map(({ ref }) => ref);
    expect(barriers.down(new Reference(first!.node, 9, [1, 2, 3]))).toBe(false);
    expect(barriers.down(second!)).toBe(true);
    expect(barriers.down(second!)).toBe(false);
    await both[1];
    expect(order).toEqual([2]);
    expect(barriers.down(first!)).toBe(true);
    await Promise.all(both);
  });

  it("is over when the connection is lost, or was", async () => {
    const { connection, barriers, asked } = connected();
    const reached = barriers.reached(connection as unknown as Connection);
    barriers.lost();
    await reached;
    connection.closeReason = new Error("gone");
    await barriers.reached(connection as unknown as Connection);
    expect(asked).toHaveLength(1);
  });
});
