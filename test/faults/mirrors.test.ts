// Two real clusters which see each other's nodes as mirrors, under load in both directions while something breaks:
// monitors of nodes and processes tell of every loss, and nothing comes twice, out of order, or never.
import { describeFaults } from "./describe-faults.ts";
import { BRIDGE_FAULTS, type Fault, NODE_FAULTS, SHORT_FAULTS, shortlyPausedBridge } from "./faults.ts";
import { MIRROR_FAULTS } from "./mirror-faults.ts";
import { MIRRORED, MIRRORED_ONE_WAY } from "./mirrored.ts";

const all: readonly Fault[] = [
  ...[...Object.values(SHORT_FAULTS), shortlyPausedBridge()],
  ...[...Object.values(NODE_FAULTS), ...Object.values(BRIDGE_FAULTS), ...Object.values(MIRROR_FAULTS)],
];
const { cutA, cutB, replacedBridge } = BRIDGE_FAULTS;
const some: readonly Fault[] = [...Object.values(NODE_FAULTS), cutA, cutB, replacedBridge];

describeFaults("mirrored nodes under load", MIRRORED, [
  [25, 27, all],
  [23, 27, [...some, ...Object.values(MIRROR_FAULTS)]],
  [27, 29, all],
]);

describeFaults("nodes that are mirrored for one side, under load", MIRRORED_ONE_WAY, [[23, 27, some]]);
