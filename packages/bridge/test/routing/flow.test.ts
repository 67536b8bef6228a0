import type { Connection } from "@isthmus/core";
import { SIGNAL, Signal } from "@isthmus/core/channel";
import { atom, Pid, Reference, type Term, TermWriter, tuple } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import type { Lane, RouterContext, RouterParts } from "../../src/routing/context.ts";
import { Flow, NOCONNECTION, NOPROC } from "../../src/routing/flow.ts";
import { Monitors } from "../../src/routing/monitors.ts";
import { Relations } from "../../src/routing/relations.ts";

const NODE = atom("b1@h");
const CALLER = new Pid(atom("a1@h"), 100, 0, 7);
const REF = new Reference(atom("a1@h"), 7, [1, 2, 3]);
const TARGET = { peer: NODE } as Connection;

/** What waits for `b1@h`, with the bridge's own node there and the mirror of the sender's, which may come and go. */
function setUp(maxWaitingBytes = 1000) {
  const relations = new Relations();
  const source = { peer: atom("a1@h"), peerCreation: 7 } as Connection;
  const node = () => {
    const runs: ((connection: Connection | undefined) => void)[] = [];
    return {
      runs,
      connected: undefined as Connection | undefined,
      connection(): Connection | undefined {
        return this.connected;
      },
      whenConnected: (_node: unknown, run: (connection: Connection | undefined) => void) =>
        void runs.push(run),
      up: (connection: Connection | undefined) => {
        for (const run of runs.splice(0)) run(connection);
      },
    };
  };
  const own = node();
  const mirror = node();
  const mirrors = new Map<unknown, unknown>();
  const identity = { node: atom("a1@h"), creation: 9 };
  const lane = {
    to: { node: own, mirrors },
    translator: { identity: () => identity },
  } as unknown as Lane;
  const context = {
    relations: new Map([[source, relations]]),
    limits: { maxWaitingBytes },
  } as unknown as RouterContext;
  const flow = new Flow(context);
  const ran: unknown[][] = [];
  const later = (signal: Signal) =>
    flow.later(source, signal, lane, NODE, (copy, connection, reason) =>
      ran.push([copy.kind, connection, reason]),
    );
  const mirrored = () => mirrors.set(identity.node, mirror);
  return { context, relations, source, own, mirror, mirrored, ran, later };
}

const monitor = () =>
  Object.assign(new Signal(), { kind: SIGNAL.MONITOR, from: CALLER, to: atom("orders"), ref: REF });

function message(term: Term, to: Pid | Reference | ReturnType<typeof atom> = atom("orders")): Signal {
  const writer = new TermWriter();
  writer.term(term);
  const bytes = Buffer.from(writer.take());
  return Object.assign(new Signal(), {
    kind: SIGNAL.SEND,
    from: CALLER,
    to,
    bytes,
    bodyEnd: bytes.length,
  });
}
const call = (request: Term) => message(tuple(atom("$gen_call"), tuple(CALLER, REF), request));

describe("signals that wait for a connection", () => {
  it("go on in order when it is there", () => {
    const { own, ran, later, relations } = setUp();
    later(monitor());
    later(call(1));
    own.up(TARGET);
    expect(ran.map(([kind, connection]) => [kind, connection])).toEqual([
      [SIGNAL.MONITOR, TARGET],
      [SIGNAL.SEND, TARGET],
    ]);
    expect(relations.waiting.size).toBe(0);
  });

  it("a monitor is not made when there was no room for the call that it is for: nobody would answer", () => {
    const { own, ran, later, relations } = setUp();
    later(monitor());
    later(call(Buffer.alloc(2000)));
    expect(ran).toEqual([[SIGNAL.SEND, undefined, NOCONNECTION]]);
    own.up(TARGET);
    expect(ran[1]).toEqual([SIGNAL.MONITOR, undefined, NOCONNECTION]);
    expect(relations.waiting.size).toBe(0);
  });

  it("nor when what the caller sent was refused, and it ends for that reason", () => {
    const { own, ran, later, source, context } = setUp();
    later(monitor());
    new Monitors({ context } as unknown as RouterParts).giveUp(source, REF, NOPROC);
    own.up(TARGET);
    expect(ran).toEqual([[SIGNAL.MONITOR, undefined, NOPROC]]);
    later(monitor());
    own.up(TARGET);
    expect(ran[1]).toEqual([SIGNAL.MONITOR, TARGET, NOCONNECTION]);
  });

  it("wait once more, for the connection of a mirror, when the sender has got one meanwhile", () => {
    const { own, mirror, mirrored, ran, later } = setUp();
    later(monitor());
    mirrored();
    own.up(TARGET);
    expect(ran).toEqual([]);
    const other = { peer: NODE } as Connection;
    mirror.up(other);
    expect(ran).toEqual([[SIGNAL.MONITOR, other, NOCONNECTION]]);
  });

  it("messages go over the bridge's own connection when the mirror gets none; calls do not", () => {
    const { own, mirror, mirrored, ran, later } = setUp();
    mirrored();
    own.connected = TARGET;
    later(message(tuple(REF, 42), CALLER));
    later(message(atom("hello")));
    later(call(1));
    mirror.up(undefined);
    expect(ran.map(([kind, connection]) => [kind, connection])).toEqual([
      [SIGNAL.SEND, TARGET],
      [SIGNAL.SEND, TARGET],
      [SIGNAL.SEND, undefined],
    ]);
  });
});
