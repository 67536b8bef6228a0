import { atom, type Pid, parseTerm, type Term, TermMap, tuple } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { collector, RIGHT } from "../process/network.ts";
import { type Setup, setup } from "./pg-node.ts";

const A = atom("a");
const cast = (content: Term): Term => tuple(atom("$gen_cast"), content);
const term = (text: string): Term => parseTerm(text);

/** A scope process on the right node that does what the test says, and keeps what it is told. */
async function withPeer(): Promise<
  Setup & {
    readonly self: Pid;
    readonly peer: Pid;
    readonly got: Term[];
    say(...messages: Term[]): Promise<void>;
  }
> {
  const all = await setup();
  const { network, right, node, pg } = all;
  const { got, process } = collector(right, { name: "pg" });
  node.up(RIGHT);
  await network.settle();
  return {
    ...all,
    self: pg.process.pid,
    peer: process.pid,
    got,
    async say(...messages) {
      for (const message of messages) process.send(pg.process.pid, message);
      await network.settle();
    },
  };
}

describe("what is said to a scope process of OTP 23 to 28", () => {
  it("first is discover without a version, which some of them would die of", async () => {
    const { self, got } = await withPeer();
    expect(got).toEqual([tuple(atom("discover"), self)]);
  });

  it("is sync when it asks, then joins and leaves; nothing before", async () => {
    const { left, network, pg, self, peer, got, say } = await withPeer();
    const [one, two] = [left.table.spawn(), left.table.spawn()];
    got.length = 0;
    await say(cast(tuple(atom("sync"), peer, [])));
    pg.join(A, [one, two]);
    pg.join("b", one);
    pg.leave("b", one);
    await network.settle();
    expect(got).toEqual([]);
    await say(tuple(atom("discover"), peer));
    expect(got).toEqual([cast(tuple(atom("sync"), self, [tuple(A, [one.pid, two.pid])]))]);
    got.length = 0;
    pg.join(A, one);
    pg.leave(A, [one, two, two]);
    expect(pg.leave("b", one)).toBe(false);
    pg.join(A, []);
    await network.settle();
    expect(got).toEqual([
      tuple(atom("join"), self, A, [one.pid]),
      // the second leave of `two` had nothing to take back
      tuple(atom("leave"), self, [one.pid, two.pid], [A]),
    ]);
    got.length = 0;
    pg.join("b", one);
    one.exit();
    await network.settle();
    expect(got).toEqual([
      tuple(atom("join"), self, Buffer.from("b"), [one.pid]),
      tuple(atom("leave"), self, [one.pid], [A]),
      tuple(atom("leave"), self, [one.pid], [Buffer.from("b")]),
    ]);
  });

  it("that asks unasked is also discover", async () => {
    const { self, peer, got, say } = await withPeer();
    got.length = 0;
    await say(tuple(atom("discover"), peer), tuple(atom("discover"), peer));
    const sync = cast(tuple(atom("sync"), self, []));
    expect(got).toEqual([sync, tuple(atom("discover"), self), sync]);
  });
});

describe("what is said to a scope process of OTP 29", () => {
  it("is local_data and updates", async () => {
    const { left, network, pg, self, peer, got, say } = await withPeer();
    const member = left.table.spawn();
    pg.join(A, member);
    got.length = 0;
    await say(tuple(atom("discover"), peer, 1));
    expect(got).toEqual([
      cast(tuple(atom("local_data"), self, 1, new TermMap([[A, [member.pid]]]))),
      tuple(atom("discover"), self, 1),
    ]);
    got.length = 0;
    pg.join("b", member);
    pg.leave("b", member);
    member.exit();
    await network.settle();
    const b = Buffer.from("b");
    expect(got).toEqual([
      tuple(atom("update"), self, [tuple(b, [member.pid], [])]),
      tuple(atom("update"), self, [tuple(b, [], [member.pid])]),
      tuple(atom("update"), self, [tuple(A, [], [member.pid])]),
    ]);
  });

  it("is in version 1 when it speaks a newer one", async () => {
    const { self, peer, got, say } = await withPeer();
    got.length = 0;
    await say(tuple(atom("discover"), peer, 7));
    expect(got).toEqual([
      cast(tuple(atom("local_data"), self, 1, new TermMap())),
      tuple(atom("discover"), self, 1),
    ]);
  });
});

describe("when", () => {
  it("a node has no scope, or has not asked back, it is asked again and again", async () => {
    const { network, peer, self, got, say } = await withPeer();
    got.length = 0;
    const ask = tuple(atom("discover"), self);
    for (const asked of [[ask], [ask]]) {
      network.clock.advance(1000);
      await network.settle();
      expect(got.splice(0)).toEqual(asked);
    }
    await say(cast(tuple(atom("sync"), peer, [])));
    network.clock.advance(1000);
    await network.settle();
    expect(got.splice(0)).toEqual([ask]);
    await say(tuple(atom("discover"), peer));
    got.length = 0;
    network.clock.advance(5000);
    await network.settle();
    expect(got).toEqual([]);
  });

  it("a message is not understood, nothing comes of it", async () => {
    const { right, pg, peer, got, say } = await withPeer();
    const { pid } = right.table.spawn();
    await say(tuple(atom("discover"), peer), cast(tuple(atom("sync"), peer, [tuple(A, [pid])])));
    got.length = 0;
    const wrong = [
      "discover",
      "{discover, 1}",
      "{join, 1, a, []}",
      "{'$gen_cast', 1}",
      "{'$gen_call', {1, 2}, which_groups}",
      "[]",
    ].map(term);
    const of = (...parts: Term[]): Term => tuple(parts[0] as Term, peer, ...parts.slice(1));
    wrong.push(
      of(atom("sync"), [A]),
      of(atom("sync"), [tuple(A, [1])]),
      of(atom("sync"), [tuple(A, [pid], 1)]),
      of(atom("sync"), A),
      of(atom("local_data"), 1, []),
      of(atom("local_data"), 1, new TermMap([[A, [A]]])),
      of(atom("join"), A, A),
      of(atom("join"), A),
      of(atom("leave"), [pid], A),
      of(atom("leave"), A, [A]),
      of(atom("update"), [tuple(A, [])]),
      of(atom("update"), [tuple(A, [], pid, [])]),
      of(atom("update"), [tuple(A, [], [1])]),
      of(atom("update"), A),
      of(atom("unknown")),
      of(atom("EXIT"), atom("kill")),
    );
    for (const message of wrong) await say(message, cast(message));
    expect(got).toEqual([]);
    expect(pg.members(A)).toEqual([pid]);
    expect(pg.process.alive).toBe(true);
  });
});
