import { expect, it } from "vitest";
import { nearest } from "../src/nearest.ts";

const KEYS = ["node", "cookie", "listen", "epmd", "discovery", "tick_time", "to"];

it.each([
  ["cokie", "cookie"],
  ["cookei", "cookie"],
  ["Cookie", "cookie"],
  ["nodes", "node"],
  ["epdm", "epmd"],
  ["ticktime", "tick_time"],
  ["tick-time", "tick_time"],
  ["discover", "discovery"],
  ["t", "to"],
  ["colour", undefined],
  ["host", undefined],
  ["", undefined],
])("%s was meant to be %s", (word, meant) => {
  expect(nearest(word, KEYS)).toBe(meant);
});
