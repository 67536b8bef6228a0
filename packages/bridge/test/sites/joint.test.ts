import { describe, expect, it } from "vitest";
import { BRIDGE_FLAGS } from "../../src/membership.ts";
import { encodeAccept, encodeHello } from "../../src/sites/greeting.ts";
import { encodeMessage } from "../../src/trunk/codec.ts";
import { trunkError } from "../../src/trunk/errors.ts";
import { PAIR, THEIRS, TwoJoints } from "./two-joints.ts";

async function joined(limits = {}): Promise<TwoJoints> {
  const two = new TwoJoints(limits);
  await two.settle();
  return two;
}

describe("two bridges on a trunk", () => {
  it("greet each other and know who the other is", async () => {
    const { north, south } = await joined();
    expect(north.outcomes).toEqual([
      {
        ...{ peer: THEIRS.node, peerCreation: 22, peerFlags: BRIDGE_FLAGS, flags: BRIDGE_FLAGS },
        ...{ localName: PAIR.node, localCreation: 11, hidden: true, version: 6, replacesOld: false },
      },
    ]);
    expect(south.outcomes).toMatchObject([{ peer: PAIR.node, peerCreation: 11, localCreation: 22 }]);
  });

  it("bytes arrive in order, both ways, however they are written, and through a resumption", async () => {
    const two = await joined();
    const { north, south, sites } = two;
    north.stream!.write("one ");
    north.stream!.cork();
    for (const word of ["two ", "three "]) north.stream!.write(word);
    north.stream!.uncork();
    south.stream!.write("x".repeat(300_000));
    await two.settle();
    expect(south.text).toBe("one two three ");
    expect(north.text.length).toBe(300_000);
    sites.cable!.cut();
    north.stream!.write("four");
    await two.settle();
    expect(south.text).toBe("one two three ");
    await two.pass(1000);
    expect(south.text).toBe("one two three four");
    expect(north.outcomes.length).toBe(1);
  });

  it("a reader that does not read stops the writer, which holds a bounded number of bytes", async () => {
    const two = new TwoJoints({ windowBytes: 256 * 1024, highWaterBytes: 100_000 });
    two.south.reading = false;
    await two.settle();
    const { north, south, sites } = two;
    let written = 0;
    while (written < 500 && north.stream!.write(Buffer.alloc(10_000, written))) {
      written++;
      await two.settle();
    }
    expect(written).toBeLessThan(60);
    const more = Buffer.alloc(3_000_000, 120);
    north.stream!.write(more);
    await two.settle();
    expect(sites.dialed.status().outgoingBytes).toBeLessThan(400_000);
    expect(south.stream!.readableLength).toBeLessThan(200_000);
    south.stream!.resume();
    await two.settle();
    while (south.text.length < (written + 1) * 10_000 + more.length) await two.settle();
    expect(south.text.length).toBe((written + 1) * 10_000 + more.length);
    expect(north.stream!.writableLength).toBe(0);
  });

  it("when one ends its connection the other hears the end, and they greet each other again", async () => {
    const two = await joined();
    const { north, south } = two;
    north.stream!.end("last words");
    await two.settle();
    expect(south.text).toBe("last words");
    expect(south.ended).toBe(true);
    // what the other still sends goes nowhere
    south.stream!.write("late");
    south.stream!.end();
    await two.settle();
    expect(north.outcomes.length).toBe(1);
    await two.pass(1500);
    expect([north.outcomes.length, south.outcomes.length]).toEqual([2, 2]);
    north.stream!.write("new");
    south.stream!.write("words");
    await two.settle();
    expect([north.text, south.text]).toEqual(["words", "new"]);
  });

  it("a connection that breaks in the middle of much, too", async () => {
    const two = await joined({ windowBytes: 256 * 1024, highWaterBytes: 1000 });
    const { north, south } = two;
    south.stream!.pause();
    north.stream!.write(Buffer.alloc(3_000_000));
    await two.settle();
    north.stream!.destroy(new Error("broken"));
    await two.settle();
    south.stream!.destroy();
    await two.pass(2000);
    expect([north.outcomes.length, south.outcomes.length]).toEqual([2, 2]);
    north.stream!.write("again");
    await two.settle();
    expect(south.text).toBe("again");
  });

  it("the end of the session ends the stream with its reason; the next session has a new one", async () => {
    const two = await joined({ graceMs: 1000 });
    const { north, south, sites } = two;
    sites.reachable = false;
    sites.cable!.cut();
    north.stream!.write("lost");
    await two.pass(1500);
    expect([north.failure?.code, south.failure?.code]).toEqual(["TRUNK_GRACE_OVER", "TRUNK_GRACE_OVER"]);
    sites.reachable = true;
    await two.pass(15_000);
    expect([north.outcomes.length, south.outcomes.length]).toEqual([2, 2]);
    north.stream!.write("found");
    await two.settle();
    expect(south.text).toBe("found");
  });
});

describe("a bridge that does not fit", () => {
  it.each<[string, Buffer, boolean, string]>([
    ["of another version", encodeMessage(1, 2, 0, {}), false, "FAR_CLUSTER_VERSION"],
    ["that says nonsense", Buffer.from("nonsense"), false, "TRUNK_PROTOCOL"],
    ["that does not come to an end", encodeMessage(1, 1, 0, {}), true, "TRUNK_PROTOCOL"],
  ])("%s is refused, and is told why; nothing else suffers", async (_what, greeting, more, code) => {
    const two = new TwoJoints();
    // in the place of the north's joint
    two.north.up = (link) => link.send(PAIR.outgoing, greeting, more);
    const told: Buffer[] = [];
    two.north.data = (_link, _channel, bytes) => void told.push(Buffer.from(bytes));
    await two.settle();
    expect(two.south.refusals).toEqual([code]);
    expect(two.south.outcomes).toEqual([]);
    expect(told.at(-1)!.toString("latin1")).toContain(code);
    // whatever comes after it is thrown away
    two.sites.dialed.send(PAIR.outgoing, Buffer.alloc(5_000_000), true);
    await two.settle();
    expect(two.sites.accepted.state).toBe("up");
    expect(two.sites.accepted.status().incomingBytes).toBe(0);
  });

  it("one that refuses us is believed, and not answered", async () => {
    const two = new TwoJoints();
    const told: Buffer[] = [];
    two.north.data = (link, _channel, bytes) => {
      told.push(Buffer.from(bytes));
      if (told.length === 1) link.send(PAIR.outgoing, encodeMessage(3, "FAR_CLUSTER_REFUSED", "no"));
    };
    two.north.up = () => undefined;
    await two.settle();
    expect(two.south.refusals).toEqual(["FAR_CLUSTER_REFUSED"]);
    expect(told.length).toBe(1);
  });

  it("one that does not answer is waited for, without a connection", async () => {
    const two = new TwoJoints();
    two.north.up = (link) =>
      link.send(PAIR.outgoing, encodeHello(PAIR, { creation: 5, flags: BRIDGE_FLAGS }));
    two.north.data = () => undefined;
    await two.settle();
    expect(two.south.outcomes).toEqual([]);
    two.sites.dialed.send(PAIR.outgoing, encodeAccept());
    await two.settle();
    expect(two.south.outcomes.length).toBe(1);
  });
});

describe("a channel that is cut", () => {
  it("ends the stream on both sides; they greet each other anew, and nothing of before comes after", async () => {
    const two = await joined();
    const { north, south, sites } = two;
    const streams = [north.stream!, south.stream!];
    south.stream!.write("before");
    north.joint!.outgoingCut(trunkError("TRUNK_DENIED", "forbidden"));
    sites.dialed.cut(PAIR.outgoing);
    south.stream!.write("still before");
    await two.settle();
    expect(streams.map(({ destroyed }) => destroyed)).toEqual([true, true]);
    expect([north.failure?.code, south.failure?.code]).toEqual(["TRUNK_DENIED", "TRUNK_DENIED"]);
    await two.pass(2000);
    expect([north.outcomes.length, south.outcomes.length]).toEqual([2, 2]);
    north.stream!.write("there");
    south.stream!.write("and back");
    await two.settle();
    expect([north.text, south.text]).toEqual(["and back", "there"]);
    expect([north.refusals, south.refusals]).toEqual([[], []]);
  });
});
