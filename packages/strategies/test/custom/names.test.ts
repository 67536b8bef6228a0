import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkNames, MAX_NAMES, parseNames } from "../../src/custom/names.ts";

const parse = (text: string, basename?: string) => parseNames(text, "The file x", basename);

describe("names in text", () => {
  it.each<[string, string, string[]]>([
    ["lines", "a@h\nb@h\n", ["a@h", "b@h"]],
    ["lines of Windows, comments, blanks", "\uFEFF# ours\r\n\r\n  a@h \r\n#b@h\r\n", ["a@h"]],
    ["a JSON array", ' [\n "a@h",\n "b@h", "a@h"]\n', ["a@h", "b@h"]],
    ["nothing", "\n", []],
    ["an empty array", "[]", []],
  ])("may be %s", (_, text, names) => {
    expect(parse(text)).toEqual(names);
  });

  it("may be hosts, when there is a basename", () => {
    expect(parse("10.0.0.1\nfd00::1\nother@h\n", "app")).toEqual(["app@10.0.0.1", "app@fd00::1", "other@h"]);
    expect(parse('["10.0.0.1"]', "app")).toEqual(["app@10.0.0.1"]);
  });

  it.each<[string, string, RegExp]>([
    ["a line that is no name", "a@h\nb h\n", /"b h" is not a node name/],
    ["a web page", "<!doctype html>", /not a node name/],
    ["an object", '{"nodes":[]}', /not a node name/],
    ["damaged JSON", '["a@h"', /JSON array/],
    ["numbers", "[1]", /a value of type number/],
    ["too many", "a@h\n".repeat(MAX_NAMES + 1), /more than 10000/],
  ])("must not be %s", (_, text, message) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({
        code: "DISCOVERY_FAILED",
        message: expect.stringMatching(message),
        context: { source: "The file x" },
      }),
    );
  });

  it("of a program must be a list", () => {
    for (const value of [undefined, null, "a@h", 7, { a: 1 }])
      expect(() => checkNames(value, "The function")).toThrow(/where a list of names must be/);
    expect(checkNames(["a@h"], "The function")).toEqual(["a@h"]);
  });

  it("of any text are names, or an error with a code", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        try {
          for (const name of parse(text)) expect(name).toContain("@");
        } catch (error) {
          expect(error).toMatchObject({ code: "DISCOVERY_FAILED" });
        }
      }),
      { numRuns: 2000 },
    );
  });
});
