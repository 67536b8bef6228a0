import { etfError } from "../errors.ts";

/** A value with parts: `parts` are rebuilt first, then `build` makes the whole of what became of them. */
export class Branch<In, Out> {
  readonly parts: readonly In[];
  readonly build: (built: Out[]) => Out;

  constructor(parts: readonly In[], build: (built: Out[]) => Out) {
    this.parts = parts;
    this.build = build;
  }
}

/**
 * Turns one tree into another from the leaves up, without recursion: trees come as deep as a peer likes.
 * @param open gives what a leaf becomes, or the parts of a branch
 * @throws IsthmusError `ETF_DEPTH_LIMIT` beyond `maxDepth`
 */
export function rebuild<In, Out>(
  root: In,
  maxDepth: number,
  open: (value: In) => Out | Branch<In, Out>,
): Out {
  const branches: Branch<In, Out>[] = [];
  const built: Out[][] = [];
  let value = open(root);
  for (;;) {
    if (value instanceof Branch) {
      if (branches.length >= maxDepth) {
        throw etfError(
          "ETF_DEPTH_LIMIT",
          `The value is nested deeper than ${maxDepth}. If it does not contain itself, raise maxDepth.`,
        );
      }
      branches.push(value);
      built.push([]);
    } else {
      const siblings = built[built.length - 1];
      if (siblings === undefined) return value;
      siblings.push(value);
    }
    const branch = branches[branches.length - 1] as Branch<In, Out>;
    const done = built[built.length - 1] as Out[];
    if (done.length < branch.parts.length) {
      value = open(branch.parts[done.length] as In);
    } else {
      branches.pop();
      built.pop();
      value = branch.build(done);
    }
  }
}
