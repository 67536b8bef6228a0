import * as v from "valibot";
import { anyMap, flag, map, text, whole } from "./schema-parts.ts";

// Each message is the rest of a sentence that begins with the key. What valibot says by itself is for programmers.

const GRACE = "must be never, immediately, or { grace_ms: MILLISECONDS }.";
const removal = v.union(
  [
    v.picklist(["never", "immediately"]),
    v.pipe(
      v.strictObject({ grace_ms: whole("milliseconds", 0, 86_400_000) }),
      v.transform(({ grace_ms }) => ({ graceMs: grace_ms })),
    ),
  ],
  GRACE,
);

const FRACTION = "must be a number from 0 to 1.";
const fraction = v.pipe(
  v.union(
    [v.number(), v.pipe(v.string(), v.regex(/^(0|1|0?\.\d+)$/, FRACTION), v.transform(Number))],
    FRACTION,
  ),
  v.minValue(0, FRACTION),
  v.maxValue(1, FRACTION),
);
const guard = {
  minimum_nodes: v.optional(whole("a number of nodes", 0, 1_000_000)),
  maximum_removal_fraction: v.optional(fraction),
  confirmations: v.optional(whole("a number of answers", 1, 1000)),
  confirm_ms: v.optional(whole("milliseconds", 1, 86_400_000)),
};

/** What every topology may have, whoever connects the nodes. */
export const topologyEntries = {
  strategy: text("the name of a strategy"),
  config: v.optional(anyMap, {}),
  removal: v.optional(removal),
  guard: v.optional(map(guard), {}),
  compat: v.optional(flag, false),
};

/** What {@link topologyEntries} makes of a part of a file. */
export type TopologyEntries = v.InferOutput<ReturnType<typeof map<typeof topologyEntries>>>;

/** The keys that may stand in the maps of a topology at `place`. */
export function topologyKeys(place: string): Readonly<Record<string, readonly string[]>> {
  return { [`${place}.removal`]: ["grace_ms"], [`${place}.guard`]: Object.keys(guard) };
}
