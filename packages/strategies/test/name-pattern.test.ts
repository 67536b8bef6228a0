import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isMeant, type NamePattern, namePatterns } from "../src/name-pattern.ts";

const matches = (pattern: NamePattern, name: string): boolean => isMeant(name, [pattern]);

describe("a pattern", () => {
  it.each([
    ["shop", "shop", true],
    ["shop", "shop1", false],
    ["shop*", "shop", true],
    ["shop*", "shop1@h", true],
    ["*@10.0.0.*", "a@10.0.0.7", true],
    ["*@10.0.0.*", "a@10.0.1.7", false],
    ["*@10.0.0.?", "a@10.0.0.77", false],
    ["a*b*c", "aXbXbYc", true],
    ["a*b*c", "aXbXbY", false],
    ["a.c", "abc", false],
    ["*", "", true],
    ["?", "", false],
  ] as const)("%j says of %j: %j", (pattern, name, expected) => {
    expect(matches(pattern, name)).toBe(expected);
  });

  it("matches as the regular expression of the same meaning", () => {
    const letters = (all: string) => fc.string({ unit: fc.constantFrom(...all), maxLength: 12 });
    fc.assert(
      fc.property(letters("ab*?"), letters("ab"), (pattern, name) => {
        fc.pre(pattern !== "");
        const expression = new RegExp(`^${pattern.replaceAll("*", ".*").replaceAll("?", ".")}$`);
        expect(matches(pattern, name)).toBe(expression.test(name));
      }),
      { numRuns: 5000 },
    );
  });

  it("with many stars takes no longer than its length times the name's", () => {
    expect(matches(`${"*a".repeat(100)}b`, "a".repeat(255))).toBe(false);
  });

  it("may be a regular expression, which has no memory", () => {
    const pattern = /^shop\d$/gy;
    expect([matches(pattern, "shop1"), matches(pattern, "shop1"), matches(pattern, "shop")]).toEqual([
      true,
      true,
      false,
    ]);
  });

  it.each(["", "x".repeat(256), 7, null, {}])("is not %j", (value) => {
    expect(namePatterns.parse([value])).toBeUndefined();
  });

  it("is one of several; without any every name is meant", () => {
    const patterns = namePatterns.parse(["a*", /^b/]);
    expect([isMeant("a1", patterns), isMeant("b1", patterns), isMeant("c1", patterns)]).toEqual([
      true,
      true,
      false,
    ]);
    expect(isMeant("c1", undefined)).toBe(true);
    expect(isMeant("c1", [])).toBe(false);
  });
});
