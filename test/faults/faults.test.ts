// Two real clusters and the bridge between them, under load in both directions while something breaks: processes learn
// of every loss, and nothing comes twice, out of order, or never.
import { describeFaults } from "./describe-faults.ts";
import {
  BRIDGE_FAULTS,
  CUT_WHEN_FULL,
  type Fault,
  NODE_FAULTS,
  SHORT_FAULTS,
  shortlyPausedBridge,
} from "./faults.ts";
import { ONE_BRIDGE } from "./two-sides.ts";

const all: readonly Fault[] = [
  ...[...Object.values(SHORT_FAULTS), shortlyPausedBridge()],
  ...[...Object.values(NODE_FAULTS), ...Object.values(BRIDGE_FAULTS)],
];

describeFaults("a bridge under load", ONE_BRIDGE, [
  [25, 27, [...all, CUT_WHEN_FULL]],
  [23, 27, all],
  [27, 29, all],
]);
