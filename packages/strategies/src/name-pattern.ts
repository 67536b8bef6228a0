import { option } from "./options.ts";

/** Text in which `*` stands for any characters and `?` for one (`app*@10.0.0.*`), or an expression to be found. */
export type NamePattern = string | RegExp;

const LONGEST = 255;

/** An option that is a list of patterns, of which a name must match one. */
export const namePatterns = option.optional(
  option.list(
    option.any<NamePattern>("a pattern: text in which * stands for any characters", (value) =>
      value instanceof RegExp || (typeof value === "string" && value !== "" && value.length <= LONGEST)
        ? value
        : undefined,
    ),
  ),
);

/** Whether one of `patterns` matches; without patterns every name does. */
export function isMeant(name: string, patterns: readonly NamePattern[] | undefined): boolean {
  return (
    patterns === undefined ||
    patterns.some((pattern) =>
      // `search`, unlike `test`, does not go on from where it was last
      typeof pattern === "string" ? matches(pattern, name) : name.search(pattern) >= 0,
    )
  );
}

/** Goes back to the last `*` only, so that no pattern takes longer than its length times the name's. */
function matches(pattern: string, name: string): boolean {
  let p = 0;
  let star = -1;
  let resume = 0;
  for (let n = 0; n < name.length; ) {
    if (pattern[p] === "*") {
      star = p++;
      resume = n;
    } else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === name[n])) {
      p++;
      n++;
    } else if (star >= 0) {
      p = star + 1;
      n = ++resume;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}
