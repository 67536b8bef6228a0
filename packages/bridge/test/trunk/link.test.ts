import { describe, expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { TrunkAcceptor } from "../../src/trunk/acceptor.ts";
import { decodeMessage } from "../../src/trunk/codec.ts";
import { dialTrunk } from "../../src/trunk/dial.ts";
import { Cable } from "./cable.ts";
import { Notebook, SECRET, TwoSites } from "./two-sites.ts";

const text = (words: string): Buffer => Buffer.from(words, "latin1");

describe("a trunk", () => {
  it("carries payloads both ways, each channel in order", async () => {
    const sites = new TwoSites();
    await sites.settle();
    expect([sites.dialed.state, sites.accepted.state]).toEqual(["up", "up"]);
    sites.dialed.send("orders", text("one"));
    sites.dialed.send("bills", text(""));
    sites.dialed.send("orders", text("two"));
    sites.accepted.send("orders", text("answer"));
    await sites.settle();
    expect(sites.south.lines).toEqual(["up", "data orders one", "data bills ", "data orders two"]);
    expect(sites.north.lines).toEqual(["up", "data orders answer"]);
  });

  it("sends what one turn causes in one message", async () => {
    const sites = new TwoSites();
    await sites.settle();
    for (let i = 0; i < 100; i++) sites.dialed.send("c", text(`${i}`));
    sites.turn();
    expect(sites.cable!.dialing.sent).toHaveLength(1);
  });

  it("takes nothing before it is up, and after it was closed", async () => {
    const sites = new TwoSites();
    expect(() => sites.dialed.send("c", text("x"))).toThrow(expect.objectContaining({ code: "TRUNK_DOWN" }));
    await sites.settle();
    sites.dialed.send("c", text("x"));
    await sites.settle();
    sites.dialed.close();
    expect(() => sites.dialed.send("c", text("x"))).toThrow(expect.objectContaining({ code: "TRUNK_DOWN" }));
    expect(() => sites.accepted.send("", text("x"))).toThrow(
      expect.objectContaining({ code: "TRUNK_OPTIONS_INVALID" }),
    );
    await sites.settle();
    expect(sites.north.lines).toEqual(["up", "lost TRUNK_CLOSED"]);
    expect(sites.south.lines).toEqual(["up", "data c x", "lost TRUNK_CLOSED"]);
    expect(sites.south.reason?.message).toContain("The trunk to site south was closed.");
    await sites.pass(120_000, 1000);
    expect(sites.clock.pending).toBe(0);
  });

  it("goes on where it was after a cut, and loses nothing that was under way", async () => {
    const sites = new TwoSites();
    await sites.settle();
    sites.dialed.send("c", text("one"));
    await sites.settle();
    sites.dialed.send("c", text("two"));
    sites.accepted.send("c", text("eins"));
    sites.turn();
    sites.cable!.cut();
    expect([sites.dialed.state, sites.accepted.state]).toEqual(["suspended", "suspended"]);
    sites.dialed.send("c", text("three"));
    sites.accepted.send("c", text("zwei"));
    await sites.pass(1000);
    expect(sites.south.lines).toEqual([
      ...["up", "data c one", "suspended TRUNK_BROKEN", "resumed", "data c two", "data c three"],
    ]);
    expect(sites.north.lines).toEqual([
      ...["up", "suspended TRUNK_BROKEN", "resumed", "data c eins", "data c zwei"],
    ]);
    expect(sites.dialed.status()).toMatchObject({
      state: "up",
      resumptions: 1,
      losses: 0,
      wire: "dialing end",
      counters: { payloadsSent: 3, payloadsReceived: 2, resent: 1, repeated: 0 },
      lastReason: { code: "TRUNK_BROKEN" },
    });
  });

  it("does not repeat what arrived although its acknowledgement was lost", async () => {
    const sites = new TwoSites();
    await sites.settle();
    sites.dialed.send("c", text("one"));
    sites.turn();
    sites.cable!.dialing.deliver();
    sites.cable!.cut();
    await sites.pass(1000);
    expect(sites.south.texts("c")).toEqual(["one"]);
    expect(sites.dialed.status().counters).toMatchObject({ resent: 0 });
  });

  it("a far end that has not noticed the cut yet lets the new connection replace the old one", async () => {
    const sites = new TwoSites();
    await sites.settle();
    const old = sites.cable!;
    old.settle = () => undefined;
    old.dialing.fail();
    sites.dialed.send("c", text("one"));
    sites.accepted.send("c", text("eins"));
    sites.turn();
    await sites.pass(1000);
    // what is still under way on the old one means nothing any more
    expect([old.accepting.closed, old.accepting.events]).toEqual([true, undefined]);
    expect(sites.south.lines).toEqual(["up", "suspended TRUNK_BROKEN", "resumed", "data c one"]);
    expect(sites.north.lines).toEqual(["up", "suspended TRUNK_BROKEN", "resumed", "data c eins"]);
  });

  it("says that everything is lost when the grace time is over, on both sides, and begins anew", async () => {
    const sites = new TwoSites({ limits: { graceMs: 5000 } });
    await sites.settle();
    sites.reachable = false;
    sites.dialed.send("c", text("lost"));
    sites.cable!.cut();
    await sites.pass(4900);
    expect([sites.dialed.state, sites.accepted.state]).toEqual(["suspended", "suspended"]);
    await sites.pass(200);
    expect([sites.dialed.state, sites.accepted.state]).toEqual(["down", "down"]);
    sites.reachable = true;
    await sites.pass(20_000);
    sites.dialed.send("c", text("new"));
    await sites.settle();
    expect(sites.north.lines).toEqual(["up", "suspended TRUNK_BROKEN", "lost TRUNK_GRACE_OVER", "up"]);
    expect(sites.south.lines).toEqual([
      ...["up", "suspended TRUNK_BROKEN", "lost TRUNK_GRACE_OVER", "up", "data c new"],
    ]);
  });

  it("a far site that restarted does not know the session: everything is lost, and a new one begins", async () => {
    const sites = new TwoSites();
    await sites.settle();
    const second = new Notebook();
    const restarted = new TrunkAcceptor({ site: "south", clock: sites.clock });
    const link = restarted.accept({ peer: "north", secret: SECRET, sink: second });
    sites.acceptor.take = (wire) => restarted.take(wire);
    sites.cable!.cut();
    await sites.pass(1000);
    expect(sites.north.lines).toEqual(["up", "suspended TRUNK_BROKEN", "lost TRUNK_SESSION_UNKNOWN", "up"]);
    expect(second.lines).toEqual(["up"]);
    expect(link.state).toBe("up");
  });

  it("a dialing site that restarted begins a new session, and the old one is lost at once", async () => {
    const sites = new TwoSites();
    await sites.settle();
    const second = new Notebook();
    const first = sites.cable!;
    const dial = { site: "north", peer: "south", secret: SECRET, sink: second, clock: sites.clock } as const;
    dialTrunk({
      ...dial,
      open: async () => {
        sites.cable = new Cable();
        sites.acceptor.take(sites.cable.accepting);
        return sites.cable.dialing;
      },
    });
    await expect.poll(() => sites.settle().then(() => second.lines)).toEqual(["up"]);
    expect(sites.south.lines).toEqual(["up", "lost TRUNK_REPLACED", "up"]);
    // the one that was replaced hears of it, and is in no hurry to come back
    first.settle(() => sites.turn());
    expect(sites.north.lines).toEqual(["up", "lost TRUNK_REPLACED"]);
    await sites.pass(4000);
    expect(sites.north.lines).toHaveLength(2);
  });

  it("an answer to the proof that is lost costs nothing: the session is taken up or begun anew, quietly", async () => {
    for (const lostMessages of [1, 2, 3, 4, 5]) {
      const sites = new TwoSites();
      await sites.microtasks();
      // HELLO, HELLO, PROOF, WELCOME, READY: cut before each of them
      for (let i = 1; i < lostMessages; i++)
        (i % 2 === 1 ? sites.cable!.dialing : sites.cable!.accepting).deliver();
      sites.cable!.cut();
      await sites.pass(1000);
      sites.dialed.send("c", text("one"));
      sites.accepted.send("c", text("eins"));
      await sites.settle();
      const interrupted = lostMessages === 5 ? ["suspended TRUNK_BROKEN", "resumed"] : [];
      expect(sites.north.lines).toEqual(["up", ...interrupted, "data c eins"]);
      expect(sites.south.lines).toEqual(["up", "data c one"]);
    }
  });

  it("retries with growing delays until the far site is there", async () => {
    const at: number[] = [];
    const clock = new FakeClock();
    const link = dialTrunk({
      ...{ site: "north", peer: "south", secret: SECRET, sink: new Notebook(), clock, random: () => 0 },
      backoff: { firstMs: 100, maxMs: 400 },
      open: async () => {
        at.push(clock.now());
        throw new Error("no route");
      },
    });
    for (let ms = 0; ms < 900; ms += 10) {
      clock.advance(10);
      for (let i = 0; i < 20; i++) await Promise.resolve();
    }
    // half of each delay is by chance, which is 0 here; the first delay begins with the first step of the clock
    expect(at.map((ms) => ms - at[1]!).slice(1)).toEqual([0, 100, 300, 500, 700]);
    link.close();
    expect(clock.pending).toBe(0);
  });

  it("gives up an attempt that hangs, and closes what comes of it late", async () => {
    const late: ((wire: Cable["dialing"]) => void)[] = [];
    const sites = new TwoSites({
      open: () => new Promise((resolve) => void late.push(resolve)),
      limits: { handshakeMs: 1000 },
    });
    await sites.pass(2000);
    expect(late.length).toBe(2);
    const cable = new Cable();
    late[0]!(cable.dialing);
    await sites.microtasks();
    expect(cable.dialing.closed).toBe(true);
    sites.dialed.close();
    await sites.microtasks();
    late[1]!(new Cable().dialing);
    await sites.pass(100_000, 1000);
    expect([late.length, sites.north.lines]).toEqual([2, []]);
  });

  it("tries several ways in turn", async () => {
    const tried: string[] = [];
    const failing = (name: string) => async () => {
      tried.push(name);
      throw new Error("not here");
    };
    const sites = new TwoSites({ open: [failing("a"), failing("b")] });
    await sites.pass(1500);
    expect(tried.slice(0, 4)).toEqual(["a", "b", "a", "b"]);
    sites.dialed.close();
    const before = tried.length;
    await sites.pass(60_000, 1000);
    expect(tried).toHaveLength(before);
  });
});

describe("flow", () => {
  const block = Buffer.alloc(10_000, "x");

  it("a paused channel holds no more than its window; others go on", async () => {
    const limits = { windowBytes: 200_000, highWaterBytes: 100_000 };
    const sites = new TwoSites({ limits }, { limits });
    await sites.settle();
    sites.accepted.pause("slow");
    for (let i = 0; i < 500; i++) {
      sites.dialed.send("slow", block);
      sites.dialed.send("quick", block);
      await sites.settle();
    }
    expect(sites.south.texts("quick")).toHaveLength(500);
    expect(sites.south.texts("slow")).toHaveLength(0);
    expect(sites.accepted.status().incomingBytes).toBeLessThanOrEqual(200_000);
    expect(sites.accepted.status().incomingBytes).toBeGreaterThan(150_000);
    expect([sites.dialed.blocked("slow"), sites.dialed.blocked("quick")]).toEqual([true, false]);
    sites.accepted.resume("slow");
    await sites.settle();
    expect(sites.south.texts("slow")).toHaveLength(500);
    expect(sites.north.lines.filter((line) => line.startsWith("writable"))).toEqual(["writable slow"]);
    expect(sites.dialed.blocked("slow")).toBe(false);
    expect(sites.accepted.status().incomingBytes).toBe(0);
    expect(await sites.dialed.drain(0)).toBe(true);
  });

  it("payloads without bytes use up the window too", async () => {
    const limits = { windowBytes: 140_000, highWaterBytes: 1 };
    const sites = new TwoSites({ limits }, { limits });
    await sites.settle();
    sites.accepted.pause("c");
    let sent = 0;
    for (; !sites.dialed.blocked("c") && sent < 10_000; sent++) {
      sites.dialed.send("c", text(""));
      await sites.settle();
    }
    expect(sent).toBeLessThan(140_000 / 32 + 10);
    expect(sites.accepted.status().incomingBytes).toBeGreaterThan(139_900);
    sites.accepted.resume("c");
    await sites.settle();
    expect(sites.south.payloads).toHaveLength(sent);
    expect(sites.south.lines.filter((line) => line.startsWith("lost"))).toEqual([]);
  });

  it("pauses are counted, and hold over sessions", async () => {
    const sites = new TwoSites();
    sites.accepted.pause("c");
    sites.accepted.pause("c");
    await sites.settle();
    sites.dialed.send("c", text("one"));
    await sites.settle();
    sites.accepted.resume("c");
    expect(sites.south.texts("c")).toEqual([]);
    sites.accepted.resume("c");
    expect(sites.south.texts("c")).toEqual(["one"]);
    sites.accepted.resume("c");
    sites.dialed.send("c", text("two"));
    await sites.settle();
    expect(sites.south.texts("c")).toEqual(["one", "two"]);
  });

  it("whoever pauses and resumes while it takes a payload keeps the order", async () => {
    const sites = new TwoSites();
    await sites.settle();
    sites.south.onData = () => {
      sites.accepted.pause("c");
      if (sites.south.payloads.length % 3 === 0) sites.accepted.resume("c");
    };
    for (let i = 0; i < 30; i++) sites.dialed.send("c", text(`${i}`));
    await sites.settle();
    for (let i = 0; i < 60; i++) sites.accepted.resume("c");
    expect(sites.south.texts("c")).toEqual(Array.from({ length: 30 }, (_, i) => `${i}`));
  });

  it("credit that was lost with the connection is given again", async () => {
    const limits = { windowBytes: 200_000 };
    const sites = new TwoSites({ limits }, { limits });
    await sites.settle();
    for (let i = 0; i < 100; i++) sites.dialed.send("c", block);
    sites.turn();
    while (sites.cable!.dialing.deliver());
    sites.turn();
    sites.cable!.cut();
    await sites.pass(1000);
    expect(sites.south.texts("c")).toHaveLength(100);
  });

  it("a large payload comes whole, or in parts, and does not stand in the way of others", async () => {
    const large = Buffer.from(Array.from({ length: 700_000 }, (_, i) => i % 251));
    const sites = new TwoSites(
      { limits: { windowBytes: 140_000 } },
      { limits: { windowBytes: 140_000 }, parts: true },
    );
    await sites.settle();
    sites.dialed.send("large", large);
    sites.accepted.send("large", large);
    sites.turn();
    sites.dialed.send("small", text("quick"));
    await sites.settle();
    const parts = sites.south.payloads.filter(({ channel }) => channel === "large");
    expect(Buffer.concat(parts.map(({ bytes }) => bytes)).equals(large)).toBe(true);
    expect(parts.map(({ more }) => more)).toEqual([...parts.slice(1).map(() => true), false]);
    expect(sites.south.lines.indexOf("data small quick")).toBeLessThan(8);
    expect(sites.north.payloads).toHaveLength(1);
    expect(sites.north.payloads[0]!.bytes.equals(large)).toBe(true);
  });

  it("a payload may be sent in parts, which the far site puts together", async () => {
    const sites = new TwoSites();
    await sites.settle();
    sites.dialed.send("c", text("one, "), true);
    sites.dialed.send("other", text("between"));
    sites.dialed.send("c", text(""), true);
    sites.dialed.send("c", text("and all"));
    await sites.settle();
    expect(sites.south.lines).toEqual(["up", "data other between", "data c one, and all"]);
  });

  it("refuses what the far site would not take, and what would fill the memory", async () => {
    const sites = new TwoSites(
      { limits: { maxQueuedBytes: 400_000, highWaterBytes: 100_000 } },
      { limits: { windowBytes: 140_000, maxPayloadBytes: 150_000, maxChannels: 2 } },
    );
    await sites.settle();
    const code = (run: () => void): unknown => {
      try {
        run();
        return undefined;
      } catch (error) {
        return (error as { code?: string }).code;
      }
    };
    expect(code(() => sites.dialed.send("c", Buffer.alloc(150_001)))).toBe("TRUNK_PAYLOAD_TOO_LARGE");
    sites.dialed.send("c", Buffer.alloc(100_000), true);
    expect(code(() => sites.dialed.send("c", Buffer.alloc(50_001)))).toBe("TRUNK_PAYLOAD_TOO_LARGE");
    sites.dialed.send("c", Buffer.alloc(50_000));
    sites.dialed.send("d", text("x"));
    expect(code(() => sites.dialed.send("e", text("x")))).toBe("TRUNK_CHANNELS");
    sites.accepted.pause("d");
    for (let i = 0; i < 3; i++) sites.dialed.send("d", Buffer.alloc(130_000));
    expect(code(() => sites.dialed.send("d", Buffer.alloc(130_000)))).toBe("TRUNK_BACKLOG");
    sites.accepted.resume("d");
    await sites.settle();
    const lengths = sites.south.payloads.map(({ channel, bytes }) => `${channel} ${bytes.length}`);
    expect(lengths.sort()).toEqual(["c 150000", "d 1", "d 130000", "d 130000", "d 130000"]);
  });

  it("keeps no more than its limit unacknowledged", async () => {
    const sites = new TwoSites({ limits: { maxUnackedBytes: 100_000, maxUnackedFrames: 10 } });
    await sites.settle();
    const underWay = (): number =>
      sites.cable!.dialing.sent.flatMap((message) => [...decodeMessage(message)]).length;
    for (let i = 0; i < 100; i++) sites.dialed.send("c", text(`${i}`));
    sites.turn();
    expect(underWay()).toBe(10);
    await sites.pass(1000);
    expect(sites.south.texts("c")).toEqual(Array.from({ length: 100 }, (_, i) => `${i}`));
    for (let i = 0; i < 50; i++) sites.dialed.send("c", block);
    sites.turn();
    expect(sites.cable!.dialing.buffered).toBeLessThan(120_000);
    await sites.pass(2000);
    expect(sites.south.payloads).toHaveLength(150);
  });

  it("drain waits until everything was acknowledged, or not longer than told", async () => {
    const sites = new TwoSites();
    await sites.settle();
    sites.dialed.send("c", text("one"));
    const drained = sites.dialed.drain(10_000);
    await sites.pass(100);
    expect(await drained).toBe(true);
    sites.dialed.send("c", text("two"));
    const late = sites.dialed.drain(1000);
    sites.clock.advance(1000);
    expect(await late).toBe(false);
  });
});

describe("deflating", () => {
  const words = text("the same words again ".repeat(500));

  it("happens when both want it", async () => {
    const sites = new TwoSites({ deflate: true }, { deflate: true });
    await sites.settle();
    sites.dialed.send("c", words);
    sites.dialed.send("c", text("short"));
    sites.turn();
    expect(sites.cable!.dialing.buffered).toBeLessThan(1000);
    await sites.settle();
    expect(sites.south.texts("c")).toEqual([words.toString(), "short"]);
    expect(sites.dialed.status().counters!.saved).toBeGreaterThan(9000);
  });

  it("does not when one does not", async () => {
    const sites = new TwoSites({ deflate: true });
    await sites.settle();
    sites.dialed.send("c", words);
    sites.turn();
    expect(sites.cable!.dialing.buffered).toBeGreaterThan(words.length);
    await sites.settle();
    expect(sites.south.texts("c")).toEqual([words.toString()]);
  });
});

describe("keep-alive", () => {
  it("a quiet connection stays", async () => {
    const sites = new TwoSites();
    await sites.settle();
    await sites.pass(600_000, 1000);
    expect(sites.north.lines).toEqual(["up"]);
    expect(sites.south.lines).toEqual(["up"]);
  });

  it("a silent one is given up and replaced", async () => {
    const sites = new TwoSites();
    await sites.settle();
    sites.dialed.send("c", text("one"));
    // nothing moves on this cable any more, though nobody is told
    sites.cable!.settle = () => undefined;
    for (let i = 0; i < 60; i++) {
      sites.clock.advance(1000);
      sites.turn();
      await sites.microtasks();
      if (sites.north.lines.length > 1) break;
    }
    expect(sites.north.lines).toEqual(["up", "suspended TRUNK_SILENT"]);
    await sites.pass(1000);
    expect(sites.north.lines).toEqual(["up", "suspended TRUNK_SILENT", "resumed"]);
    expect(sites.south.texts("c")).toEqual(["one"]);
  });

  it("a process that was stopped for long first listens", async () => {
    const sites = new TwoSites();
    await sites.settle();
    sites.clock.advance(100_000);
    await sites.pass(5000);
    expect(sites.north.lines).toEqual(["up"]);
  });
});

it("a consumer that throws ends the session on both sides, not the process", async () => {
  const sites = new TwoSites();
  await sites.settle();
  sites.south.onData = () => {
    throw new Error("cannot take it");
  };
  sites.dialed.send("c", text("one"));
  await sites.settle();
  expect(sites.south.lines).toEqual(["up", "data c one", "lost TRUNK_CONSUMER_FAILED"]);
  expect(sites.north.lines).toEqual(["up", "lost TRUNK_CLOSED"]);
  sites.south.onData = undefined;
  await sites.pass(1000);
  expect(sites.north.lines.at(-1)).toBe("up");
});
