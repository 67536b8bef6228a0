import { expect, it } from "vitest";
import { backoffDelay } from "../src/index.ts";

const options = { firstMs: 100, maxMs: 1000 };

it("doubles up to the bound", () => {
  expect([0, 1, 2, 3, 4, 50].map((attempt) => backoffDelay(attempt, options, 0.999_999))).toEqual([
    100, 200, 400, 800, 1000, 1000,
  ]);
});

it("is random in its upper half only", () => {
  expect(backoffDelay(3, options, 0)).toBe(400);
});
