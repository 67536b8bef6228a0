import { inspect } from "node:util";
import {
  Cookie,
  FLAG,
  HANDSHAKE_ERROR_CODES,
  HIDDEN_FULL,
  runAcceptor,
  runInitiator,
} from "@isthmus/dist-handshake";
import { isIsthmusError } from "@isthmus/wire";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { acceptor, initiator, node, pair } from "./support/nodes.ts";
import { framed, settle, WireDuplex } from "./support/wire-duplex.ts";

const SECRET = "Tr0ub4dor&3";
const cookies = [Cookie.of(SECRET)];
const codes: readonly string[] = HANDSHAKE_ERROR_CODES;

// conversations that go well, whose frames are then damaged
const good = [
  pair(initiator(), acceptor()),
  pair(initiator({ epmdHighVersion: 5 }), acceptor({ decide: () => "alive" })),
  pair(
    initiator({ local: node("h", { flags: HIDDEN_FULL | FLAG.NAME_ME }) }),
    acceptor({ decide: () => ({ named: "x@h", creation: 1 }) }),
  ),
];
const frames = (from: "initiator" | "acceptor") =>
  good.flatMap((run) => run.sent.filter((one) => one.from === from).map((one) => one.bytes));

/** Frames of the other side: whole, with a byte changed, cut, extended, or made up. */
function input(from: "initiator" | "acceptor"): fc.Arbitrary<Buffer[]> {
  const known = fc.constantFrom(...frames(from));
  const flipped = fc.tuple(known, fc.nat(), fc.integer({ min: 1, max: 255 })).map(([frame, at, bits]) => {
    const copy = Buffer.from(frame);
    copy[at % copy.length]! ^= bits;
    return copy;
  });
  const cut = fc.tuple(known, fc.nat()).map(([frame, at]) => frame.subarray(0, at % frame.length));
  const junk = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
  const extended = fc.tuple(known, junk).map(([frame, more]) => Buffer.concat([frame, more]));
  return fc.array(fc.oneof(known, known, flipped, cut, extended, junk), { maxLength: 8 });
}

const machines = {
  initiator: () => initiator({ local: node("a@h", { cookies }) }),
  "old initiator": () => initiator({ local: node("a@h", { cookies }), epmdHighVersion: 5 }),
  "nameless initiator": () => initiator({ local: node("h", { cookies, flags: HIDDEN_FULL | FLAG.NAME_ME }) }),
  acceptor: () => acceptor({ local: node("b@h", { cookies }) }),
  "acceptor with an old connection": () =>
    acceptor({ local: node("b@h", { cookies }), decide: () => "alive" }),
};

describe("whatever a peer sends", () => {
  it.each(Object.keys(machines) as (keyof typeof machines)[])(
    "an %s ends with a coded error or goes on, and shows no secret",
    (which) => {
      fc.assert(
        fc.property(input(which.includes("initiator") ? "acceptor" : "initiator"), (received) => {
          const machine = machines[which]();
          machine.start();
          for (const frame of received) {
            const { error, outcome } = machine.receive(frame);
            // nobody here knows the cookie
            expect(outcome).toBeUndefined();
            expect(inspect(machine, { depth: 9, showHidden: true })).not.toContain(SECRET);
            if (error === undefined) continue;
            expect(codes).toContain(error.code);
            expect(inspect(error, { depth: 9 })).not.toContain(SECRET);
            break;
          }
        }),
        { numRuns: 600 },
      );
    },
  );

  it("the drivers end with a coded error or go on, and close what they end", async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((raw) => Buffer.from(raw)),
      input("initiator").map((received) => framed(received, 2)),
      input("acceptor").map((received) => framed(received, 2)),
    );
    await fc.assert(
      fc.asyncProperty(bytes, fc.boolean(), async (received, dialling) => {
        const stream = new WireDuplex();
        const local = node(dialling ? "a@h" : "b@h", { cookies });
        const run = dialling
          ? runInitiator(stream, { local, peer: "b@h" })
          : runAcceptor(stream, { local, decide: () => "ok" });
        let error: unknown;
        run.catch((reason: unknown) => {
          error = reason;
        });
        stream.give(received);
        stream.giveEnd();
        await settle();
        expect(isIsthmusError(error) && codes.includes(error.code)).toBe(true);
        expect(stream.destroyed).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
