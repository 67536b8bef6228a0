import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { takeIndexes } from "../../src/translate/index-file.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "isthmus-index-"));
  path = join(folder, "state");
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("the state file", () => {
  it("gives every run indexes of its own", () => {
    const taken = [1, 2, 3].map(() => takeIndexes(path, 1000, 0.5));
    expect(taken[1]).toBe(taken[0]! + 1000);
    expect(taken[2]).toBe(taken[0]! + 2000);
    expect(readdirSync(folder)).toEqual(["state"]);
  });

  it("begins anywhere when there is none", () => {
    expect(takeIndexes(path, 10, 0)).toBe(4);
    expect(takeIndexes(join(folder, "other"), 10, 0.5)).toBe(4 + Math.floor((2 ** 32 - 4) / 2));
  });

  it("begins anew when the numbers are used up", () => {
    writeFileSync(path, `isthmus indexes from ${2 ** 32 - 5}\n`);
    expect(takeIndexes(path, 5, 0)).toBe(2 ** 32 - 5);
    expect(takeIndexes(path, 5, 0)).toBe(4);
    expect(readFileSync(path, "utf8")).toBe("isthmus indexes from 9\n");
  });

  it.each([
    "",
    "7\n",
    "isthmus indexes from 3\n",
    "isthmus indexes from 4294967297\n",
    "isthmus indexes from x\n",
  ])("refuses the content %j, and leaves it", (content) => {
    writeFileSync(path, content);
    expect(() => takeIndexes(path, 5, 0)).toThrow(expect.objectContaining({ code: "STATE_FILE_FAILED" }));
    expect(readFileSync(path, "utf8")).toBe(content);
  });

  it("says when it cannot be read or written", () => {
    mkdirSync(path);
    expect(() => takeIndexes(path, 5, 0)).toThrow(/cannot be read/);
    const missing = join(folder, "no", "state");
    expect(() => takeIndexes(missing, 5, 0)).toThrow(/cannot be written/);
  });
});
