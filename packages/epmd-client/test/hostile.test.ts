import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NodeRegistry } from "../src/registry.ts";
import {
  alive2Format,
  dumpFormat,
  killFormat,
  namesFormat,
  port2Format,
  type ReplyFormat,
  ReplyReader,
  stopFormat,
} from "../src/reply-reader.ts";
import { encodeAlive2Request, encodePort2Request, encodeStopRequest } from "../src/requests.ts";
import { type ServerAction, ServerConnection } from "../src/server-machine.ts";
import { framed } from "./support/chunks.ts";

const LIMITS = { maxNames: 3, maxUnusedNames: 2 };
const TAGS = [120, 122, 110, 100, 107, 115, 97];
const name = fc.constantFrom("a", "b", "c", "d", "gämma", "n".repeat(255));
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));

/** Requests: right ones, ones whose body is nearly right, and anything. */
const request = fc.oneof(
  fc
    .record({ name, port: fc.integer({ min: 1, max: 65535 }), highVersion: fc.constantFrom(5, 6) })
    .map(encodeAlive2Request),
  name.map(encodePort2Request),
  name.map(encodeStopRequest),
  fc
    .tuple(fc.constantFrom(...TAGS), bytes(40))
    .map(([tag, rest]) => framed(Buffer.concat([Buffer.of(tag), rest]))),
  bytes(4000),
);
const cutting = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 10 });
const step = fc.record({
  connection: fc.nat({ max: 7 }),
  request,
  cutting,
  close: fc.boolean(),
  local: fc.boolean(),
  relaxed: fc.boolean(),
});

function chunksOf(whole: Buffer, lengths: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, i = 0; at < whole.length; i++) {
    const length = lengths[i % lengths.length]!;
    chunks.push(whole.subarray(at, at + length));
    at += length;
  }
  return chunks;
}

describe("the server machine", () => {
  it("survives any bytes on any connections, and stays within its limits", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const registry = new NodeRegistry(LIMITS);
        const machines = new Map<number, ServerConnection>();
        let lastId = 0;
        const ids = new Map<number, number>();
        for (const { connection, request, cutting, close, local, relaxed } of steps) {
          let machine = machines.get(connection);
          if (machine === undefined) {
            const id = ++lastId;
            ids.set(id, connection);
            const fixed = { registry, id, local, relaxedCommandCheck: relaxed, epmdPort: 1 };
            machine = new ServerConnection(fixed);
            machines.set(connection, machine);
          }
          let last: ServerAction = { next: "wait" };
          for (const chunk of chunksOf(request, cutting)) {
            last = machine.receive(chunk, 1000);
            if (last.closeOther !== undefined) {
              const other = ids.get(last.closeOther)!;
              machines.get(other)?.closed();
              machines.delete(other);
            }
            if (last.next === "exit") return;
            if (last.next === "close") break;
          }
          if (last.next === "close") {
            expect(machine.receive(framed("n"), 1000)).toEqual({ next: "wait" });
            machines.delete(connection);
          } else if (close) {
            machine.closed();
            machines.delete(connection);
          }
          const active = registry.active();
          expect(active.length).toBeLessThanOrEqual(LIMITS.maxNames);
          expect(registry.unused().length).toBeLessThanOrEqual(LIMITS.maxUnusedNames);
          expect(new Set(active.map(({ name }) => name.toString("latin1"))).size).toBe(active.length);
          for (const { creation, owner } of active) {
            expect(creation).toBeGreaterThan(3);
            expect(machines.has(ids.get(owner)!)).toBe(true);
          }
        }
        for (const machine of machines.values()) machine.closed();
        expect(registry.size).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  it("gives the same answer however a request is cut, once its length has come", () => {
    fc.assert(
      fc.property(request, cutting, (whole, lengths) => {
        fc.pre(whole.length >= 2 && whole.length === 2 + whole.readUInt16BE(0));
        const answer = (chunks: Buffer[]) => {
          const registry = new NodeRegistry();
          const machine = new ServerConnection({
            registry,
            id: 1,
            local: true,
            relaxedCommandCheck: true,
            epmdPort: 1,
          });
          return chunks.map((chunk) => machine.receive(chunk, 1000)).at(-1);
        };
        expect(answer(chunksOf(whole, lengths))).toEqual(answer([whole]));
      }),
    );
  });
});

describe("the reply readers", () => {
  const formats: [string, ReplyFormat<unknown>][] = [
    ["ALIVE2", alive2Format],
    ["PORT2", port2Format],
    ["NAMES", namesFormat],
    ["DUMP", dumpFormat],
    ["KILL", killFormat],
    ["STOP", stopFormat],
  ];
  const start = fc.constantFrom(
    "",
    "v",
    "v\0",
    "y\0",
    "w",
    "w\0",
    "w\x01",
    "\0\0\x11\x11",
    "\0\0\x11\x11name ",
    "O",
    "NO",
    "STOP",
  );

  it.each(formats)("survive any bytes: %s", (_, format) => {
    fc.assert(
      fc.property(start, bytes(300), cutting, (head, rest, lengths) => {
        const whole = Buffer.concat([Buffer.from(head, "latin1"), rest]);
        const outcome = (chunks: Buffer[]): unknown => {
          const reader = new ReplyReader(format, 250);
          try {
            for (const chunk of chunks) {
              const complete = reader.push(chunk);
              if (complete !== undefined) return complete.reply;
            }
            return reader.end().reply;
          } catch (error) {
            return (error as { code: string }).code;
          }
        };
        const given = outcome(chunksOf(whole, lengths));
        if (typeof given === "string")
          expect(given).toMatch(/^EPMD_(NO_REPLY|REPLY_MALFORMED|REPLY_TOO_LARGE)$/);
        const trailing = format === namesFormat || format === dumpFormat || format === stopFormat;
        if (trailing || whole.length <= 250) expect(given).toEqual(outcome([whole]));
      }),
    );
  });
});
