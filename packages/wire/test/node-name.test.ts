import { describe, expect, it } from "vitest";
import { isLongHost, isNodeName, parseNodeName } from "../src/index.ts";

describe("parseNodeName", () => {
  it("splits name and host", () => {
    expect(parseNodeName("shop1@10.0.0.5")).toEqual({
      full: "shop1@10.0.0.5",
      name: "shop1",
      host: "10.0.0.5",
    });
  });

  it.each([
    ["shop1", "no '@'"],
    ["@host", "empty"],
    ["shop@", "empty"],
    ["a@b@c", "more than one"],
    [`${"a".repeat(255)}@h`, "255 characters"],
    ["a b@c", "a space"],
    ["a@c\n", "control character"],
  ])("refuses %j and says why", (name, why) => {
    expect(() => parseNodeName(name)).toThrow(expect.objectContaining({ code: "NODE_NAME_INVALID" }));
    expect(() => parseNodeName(name)).toThrow(why);
    expect(isNodeName(name)).toBe(false);
  });
});

it("tells long names from short ones as a BEAM does", () => {
  expect([isLongHost("10.0.0.5"), isLongHost("host.example"), isLongHost("::1"), isLongHost("host")]).toEqual(
    [true, true, true, false],
  );
});
