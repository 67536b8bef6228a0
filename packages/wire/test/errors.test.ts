import { expect, it } from "vitest";
import { IsthmusError, isIsthmusError } from "../src/index.ts";

it("has a code, a cause and a context, and is known across copies of the package", () => {
  const cause = new Error("below");
  const error = new IsthmusError("SOME_CODE", "It did not work.", { cause, context: { node: "a@b" } });
  expect(error).toMatchObject({ name: "IsthmusError", code: "SOME_CODE", cause, context: { node: "a@b" } });
  expect(isIsthmusError(error)).toBe(true);
  expect(isIsthmusError(cause)).toBe(false);
  const foreign = Object.assign(new Error("x"), { [Symbol.for("@isthmus/error")]: true });
  expect(isIsthmusError(foreign)).toBe(true);
});
