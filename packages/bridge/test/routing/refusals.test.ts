import type { Clock } from "@isthmus/wire";
import { expect, it } from "vitest";
import { Refusals } from "../../src/routing/refusals.ts";

it("counts every refusal, and logs one line per kind in thirty seconds, with what came in between", () => {
  let now = 0;
  const clock: Clock = { now: () => now, after: () => ({ cancel: () => undefined }) };
  const lines: unknown[] = [];
  const nothing = () => undefined;
  const logger = {
    debug: nothing,
    info: nothing,
    error: nothing,
    warn: (fields: unknown) => lines.push(fields),
  };
  const refusals = new Refusals(logger, clock);
  const send = { cluster: "a", node: "a1@h", operation: "send", target: "secrets" };
  for (let i = 0; i < 100; i++) refusals.record(send);
  refusals.record({ ...send, target: "other" });
  expect(lines).toEqual([
    { ...send, total: 1 },
    { ...send, target: "other", total: 101 },
  ]);
  now = 30_000;
  refusals.record(send);
  expect(lines[2]).toEqual({ ...send, repeated: 100, total: 102 });
  // made-up names do not fill the memory
  for (let i = 0; i < 5000; i++) refusals.record({ ...send, target: `name ${i}` });
  expect(refusals.total).toBe(5102);
});
