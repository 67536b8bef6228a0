/** A text to compare with: as it stands, or with `*` for any characters. */
export interface Pattern {
  readonly text: string;
  /** Whether it has no `*`: it means one text only. */
  readonly literal: boolean;
  matches(text: string): boolean;
}

/** Compiles a pattern. `*` stands for any characters, none too; everything else for itself. */
export function pattern(text: string): Pattern {
  if (!text.includes("*")) return { text, literal: true, matches: (other) => other === text };
  const parts = text.split("*");
  const first = parts[0]!;
  const last = parts.at(-1)!;
  const middle = parts.slice(1, -1).filter((part) => part !== "");
  return {
    text,
    literal: false,
    // without a regular expression, whose time a name could drive up
    matches: (other) => {
      if (!other.startsWith(first) || !other.endsWith(last) || other.length < first.length + last.length)
        return false;
      let at = first.length;
      const end = other.length - last.length;
      for (const part of middle) {
        const found = other.indexOf(part, at);
        if (found < 0 || found + part.length > end) return false;
        at = found + part.length;
      }
      return true;
    },
  };
}

/** Whether any of `patterns` matches; no list at all matches everything. */
export function anyMatches(patterns: readonly Pattern[] | undefined, text: string): boolean {
  return patterns === undefined || patterns.some((one) => one.matches(text));
}
