import type { Connection, HiddenNode } from "@isthmus/core";
import { atom } from "@isthmus/etf";
import { IsthmusError, type Logger } from "@isthmus/wire";
import { beforeEach, describe, expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { Mirror } from "../../src/mirror/mirror.ts";
import type { ClusterRouter } from "../../src/routing/cluster-router.ts";
import { IdentityIndex } from "../../src/translate/identity-index.ts";
import type { Place } from "../../src/translate/translator.ts";

const NODE = atom("billing1@h");

let clock: FakeClock;
/** What was asked of the connection, and of the mirror's node, in order. */
let done: string[];
let logged: string[];
let shop: ClusterRouter;
/** Ends the attempt to start that is under way. */
let start: { readonly succeed: () => void; readonly fail: () => void };

beforeEach(() => {
  clock = new FakeClock();
  done = [];
  logged = [];
  shop = place("shop", "bridge@h");
});

function place(id: string, name: string): ClusterRouter {
  const self = atom(name);
  const index = new IdentityIndex<Place>(self, 1000, 100);
  return { id, self, creation: 7, index, mirrors: new Map() } as unknown as ClusterRouter;
}

function mirror(late = false): Mirror {
  const note =
    (level: string): Logger["info"] =>
    (_fields, message) =>
      void logged.push(`${level}: ${message}`);
  const connection = {
    ...{ peer: NODE, peerCreation: 3 },
    pause: () => done.push("pause"),
    resume: () => done.push("resume"),
  } as unknown as Connection;
  const node = {
    port: 9200,
    leave: async () => void done.push("leave"),
    close: async () => void done.push("close"),
  } as unknown as HiddenNode;
  return new Mirror({
    from: shop,
    to: place("billing", "billing_bridge@h"),
    connection,
    name: "billing1@shop",
    late,
    start: () =>
      new Promise((resolve, reject) => {
        start = {
          succeed: () => resolve(node),
          fail: () => reject(new IsthmusError("LISTEN_FAILED", "No.")),
        };
      }),
    logger: { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") } as Logger,
    clock,
  });
}

/** What was sent to the nodes of the shop is under way. @returns it has arrived */
function unsettledShop(): () => void {
  let answer = (): void => undefined;
  const settled = (): Promise<void> =>
    new Promise((resolve) => {
      done.push(ASKED);
      answer = resolve;
    });
  Object.assign(shop, { settled });
  return () => answer();
}

/** A mirror of a node that was there before, which is up and waits for an answer. */
async function waiting(): Promise<{ readonly one: Mirror; readonly answer: () => void }> {
  const answer = unsettledShop();
  const one = mirror(true);
  start.succeed();
  await settled();
  return { one, answer };
}

const ASKED = "asked";
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("a mirror", () => {
  it("holds its node up until it is there, and no longer", async () => {
    const one = mirror();
    expect(done).toEqual(["pause"]);
    start.succeed();
    await settled();
    expect(done).toEqual(["pause", "resume"]);
    expect([one.port, shop.mirrors.size, clock.pending]).toEqual([9200, 1, 0]);
    await one.leave();
    expect([done.at(-1), shop.mirrors.size]).toEqual(["leave", 1]);
    await one.close();
    expect([done.at(-1), shop.mirrors.size]).toEqual(["close", 0]);
  });

  it("that is starting when all leave does not come up", async () => {
    const one = mirror();
    const left = one.leave();
    expect(done).toEqual(["pause", "resume"]);
    start.succeed();
    await left;
    expect(done.at(-1)).toBe("close");
    expect([one.port, shop.mirrors.size, clock.pending]).toEqual([undefined, 0, 0]);
    expect(logged).toEqual([]);
    await one.close();
  });

  it("that could not be started is not tried again once all leave", async () => {
    const one = mirror();
    start.fail();
    await settled();
    expect(logged).toEqual([
      expect.stringMatching(/^error: the mirror cannot be started; it is tried again/),
    ]);
    expect(clock.pending).toBe(1);
    await one.leave();
    expect(clock.pending).toBe(0);
  });

  it.each(["leave", "close"] as const)(
    "that fails after %s says nothing, for nobody wants it",
    async (end) => {
      const one = mirror();
      const ended = one[end]();
      start.fail();
      await ended;
      expect([logged, clock.pending]).toEqual([[], 0]);
      expect(done).toEqual(["pause", "resume"]);
    },
  );

  it("of a node that was there before waits until what the node had sent has arrived", async () => {
    const { one, answer } = await waiting();
    expect(done).toEqual(["pause", ASKED]);
    expect(shop.mirrors.size).toBe(0);
    answer();
    await settled();
    expect(done).toEqual(["pause", ASKED, "resume"]);
    expect([shop.mirrors.size, clock.pending]).toEqual([1, 0]);
    await one.close();
  });

  it("does not wait for long for a node that hangs", async () => {
    const { one } = await waiting();
    clock.advance(2000);
    await settled();
    expect(done).toEqual(["pause", ASKED, "resume"]);
    expect([shop.mirrors.size, clock.pending]).toEqual([1, 0]);
    await one.close();
  });

  it("that waits when all leave does not come up", async () => {
    const { one } = await waiting();
    await one.leave();
    expect(done).toEqual(["pause", ASKED, "resume", "close"]);
    expect([shop.mirrors.size, clock.pending]).toEqual([0, 0]);
  });

  it("that takes so long that its node was read meanwhile waits, too", async () => {
    const answer = unsettledShop();
    const one = mirror();
    clock.advance(2000);
    expect(done).toEqual(["pause", "resume"]);
    start.succeed();
    await settled();
    expect(done).toEqual(["pause", "resume", "pause", ASKED]);
    answer();
    await settled();
    expect([done.at(-1), shop.mirrors.size, clock.pending]).toEqual(["resume", 1, 0]);
    await one.close();
  });

  it("waits always where there is OTP 23: an earlier connection of the node went over the bridge's, too", async () => {
    const answer = unsettledShop();
    shop.index.becomeNarrow();
    const one = mirror();
    start.succeed();
    await settled();
    expect(done).toEqual(["pause", ASKED]);
    answer();
    await settled();
    expect([done.at(-1), shop.mirrors.size, clock.pending]).toEqual(["resume", 1, 0]);
    await one.close();
  });

  it("that comes up at a second attempt waits, too", async () => {
    const answer = unsettledShop();
    const one = mirror();
    start.fail();
    await settled();
    clock.advance(250);
    start.succeed();
    await settled();
    expect(done).toEqual(["pause", "resume", "pause", ASKED]);
    answer();
    await settled();
    expect([done.at(-1), shop.mirrors.size]).toEqual(["resume", 1]);
    await one.close();
  });
});
