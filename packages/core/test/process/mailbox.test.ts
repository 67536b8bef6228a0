import { atom, type Term, Tuple, tuple } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { collector, LEFT, RIGHT, twoNodes } from "./network.ts";

const tagged =
  (tag: string) =>
  (message: Term): message is Tuple =>
    message instanceof Tuple && message.elements[0] === atom(tag);

describe("receive", () => {
  it("takes the first that matches and leaves the others in order", async () => {
    const { network, left } = twoNodes();
    const process = left.table.spawn();
    for (const message of [
      tuple(atom("a"), 1),
      tuple(atom("b"), 2),
      tuple(atom("a"), 3),
      tuple(atom("b"), 4),
    ]) {
      left.table.send(process, message);
    }
    await network.settle();
    expect((await process.receive({ match: tagged("b") })).elements[1]).toBe(2);
    expect(process.mailboxSize).toBe(3);
    expect((await process.receive({ match: tagged("b") })).elements[1]).toBe(4);
    expect(await process.receive()).toEqual(tuple(atom("a"), 1));
    expect(await process.receive()).toEqual(tuple(atom("a"), 3));
    expect(process.mailboxSize).toBe(0);
  });

  it("waits; each message goes to the first of those who wait for it", async () => {
    const { network, left } = twoNodes();
    const process = left.table.spawn();
    const b = process.receive({ match: tagged("b") });
    const any = process.receive();
    left.table.send(process, tuple(atom("a"), 1));
    left.table.send(process, tuple(atom("b"), 2));
    left.table.send(process, tuple(atom("c"), 3));
    await network.settle();
    expect([await b, await any]).toEqual([tuple(atom("b"), 2), tuple(atom("a"), 1)]);
    expect(process.mailboxSize).toBe(1);
  });

  it("gives up after its time, at an abort, and when the process ends; and leaves nothing behind", async () => {
    const { network, left } = twoNodes();
    const process = left.table.spawn();
    await expect(process.receive({ timeoutMs: 0 })).rejects.toMatchObject({ code: "RECEIVE_TIMEOUT" });
    const late = process.receive({ timeoutMs: 100 });
    network.clock.advance(100);
    await expect(late).rejects.toMatchObject({ code: "RECEIVE_TIMEOUT" });
    const abort = new AbortController();
    const aborted = process.receive({ signal: abort.signal, timeoutMs: 100 });
    abort.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    await expect(process.receive({ signal: abort.signal })).rejects.toThrow("enough");
    const ended = process.receive({ timeoutMs: 100 });
    process.exit(atom("gone"));
    await expect(ended).rejects.toMatchObject({ code: "PROCESS_DEAD", context: { reason: atom("gone") } });
    await expect(process.receive()).rejects.toMatchObject({ code: "PROCESS_DEAD" });
    expect(network.clock.pending).toBe(0);
  });

  it("a match that throws fails its receive only", async () => {
    const { network, left } = twoNodes();
    const process = left.table.spawn();
    const broken = process.receive({
      match: () => {
        throw new Error("broken match");
      },
    });
    const caught = expect(broken).rejects.toThrow("broken match");
    left.table.send(process, 1);
    await network.settle();
    await caught;
    expect(await process.receive()).toBe(1);
  });

  it("is not for processes with a handler", async () => {
    const { left } = twoNodes();
    await expect(collector(left).process.receive()).rejects.toMatchObject({ code: "OPTION_INVALID" });
  });

  it("keeps working over many messages", async () => {
    const { network, left } = twoNodes();
    const process = left.table.spawn({ mailboxLimit: 5000 });
    for (let n = 0; n < 5000; n++) left.table.send(process, n);
    await network.settle();
    for (let n = 0; n < 5000; n++) expect(await process.receive()).toBe(n);
  });
});

describe("iteration", () => {
  it("yields every message and ends with the process", async () => {
    const { left, network } = twoNodes();
    const process = left.table.spawn();
    const got: Term[] = [];
    const done = (async () => {
      for await (const message of process) got.push(message);
    })();
    for (const n of [1, 2, 3]) left.table.send(process, n);
    await network.settle();
    process.exit();
    await done;
    expect(got).toEqual([1, 2, 3]);
  });
});

describe("a full mailbox", () => {
  it("drops the new message, counts, and says it once until it has been emptied", async () => {
    const { network, left, right } = twoNodes();
    network.connect(LEFT, RIGHT);
    const process = right.table.spawn({ mailboxLimit: 2 });
    const send = async (n: number): Promise<void> => {
      for (let i = 0; i < n; i++) left.table.send(process.pid, i);
      await network.settle();
    };
    await send(5);
    expect([process.mailboxSize, process.dropped, right.log.length]).toEqual([2, 3, 1]);
    expect(right.log[0]?.fields).toMatchObject({ code: "MAILBOX_FULL" });
    expect([await process.receive(), await process.receive()]).toEqual([0, 1]);
    await send(3);
    expect([process.dropped, right.log.length]).toEqual([4, 2]);
  });

  it("ends the process when that is the policy", async () => {
    const { network, left } = twoNodes();
    const process = left.table.spawn({ mailboxLimit: 1, mailboxOverflow: "exit" });
    const { got, process: watcher } = collector(left);
    const ref = watcher.monitor(process);
    left.table.send(process, 1);
    left.table.send(process, 2);
    await network.settle();
    expect(process.alive).toBe(false);
    expect(got).toEqual([tuple(atom("DOWN"), ref, atom("process"), process.pid, atom("mailbox_full"))]);
  });

  it("needs room for one message at least", () => {
    const { left } = twoNodes();
    expect(() => left.table.spawn({ mailboxLimit: 0 })).toThrow(
      expect.objectContaining({ code: "OPTION_INVALID" }),
    );
  });
});
