import { describe, expect, it } from "vitest";
import { functionPattern, matchesFunction } from "../../src/policy/mfa.ts";
import { pattern } from "../../src/policy/pattern.ts";

describe("a pattern", () => {
  it.each([
    ["orders", "orders", true],
    ["orders", "orders2", false],
    ["orders*", "orders2", true],
    ["orders*", "order", false],
    ["*", "", true],
    ["*@10.0.0.*", "a1@10.0.0.5", true],
    ["*@10.0.0.*", "a1@10x0x0x5", false],
    ["Elixir.Shop.*", "Elixir.Shop.Orders", true],
    ["a*a", "a", false],
    ["a*b*c", "a-b-c", true],
    ["a*b*c", "a-c-b", false],
    ["*ab*ab*", "ab", false],
    ["a**b", "ab", true],
    ["a.c", "abc", false],
  ])("%s and %s: %s", (text, other, expected) => {
    expect(pattern(text).matches(other)).toBe(expected);
  });

  it("takes no long time for a hostile name", () => {
    const hostile = pattern(`${"*a".repeat(50)}*b`);
    expect(hostile.matches("a".repeat(255))).toBe(false);
  });
});

describe("a function pattern", () => {
  const matches = (text: string, module: string, name: string, arity: number) => {
    const compiled = functionPattern(text);
    if (typeof compiled === "string") throw new Error(compiled);
    return matchesFunction(compiled, module, name, arity);
  };

  it("means a function, or several of one module", () => {
    expect(matches("orders:lookup/1", "orders", "lookup", 1)).toBe(true);
    expect(matches("orders:lookup/1", "orders", "lookup", 2)).toBe(false);
    expect(matches("orders:lookup", "orders", "lookup", 2)).toBe(true);
    expect(matches("orders:lookup/*", "orders", "lookup", 0)).toBe(true);
    expect(matches("orders:get_*/1", "orders", "get_all", 1)).toBe(true);
    expect(matches("orders:*", "invoices", "get_all", 1)).toBe(false);
    expect(matches("Elixir.Shop.Cart:total!/1", "Elixir.Shop.Cart", "total!", 1)).toBe(true);
  });

  it.each([
    ["orders", "must be module:function/arity"],
    ["*:lookup/1", "must be module:function/arity"],
    ["orders:lookup/x", "must be module:function/arity"],
    ["orders:lookup/256", "has more arguments"],
    ["erlang:apply/3", "erlang:apply calls whatever it is given"],
    ["erlang:*", "erlang:apply calls"],
    ["erlang:spawn*/3", "erlang:spawn calls"],
    ["rpc:call/4", "rpc:call calls"],
    ["erpc:*", "erpc:* calls"],
    ["Elixir.Kernel:apply/2", "Elixir.Kernel:apply calls"],
    ["proc_lib:spawn/3", "proc_lib:spawn calls"],
  ])("%s is refused: %s", (text, why) => {
    expect(functionPattern(text)).toContain(why);
  });
});
