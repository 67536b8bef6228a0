// Two real clusters, a bridge beside each, and a trunk over WebSocket between the bridges, under load in both directions
// while something breaks: what is shorter than the grace time is noticed by nobody, and of the rest processes learn.
import { describeFaults } from "./describe-faults.ts";
import { NODE_FAULTS, SHORT_FAULTS } from "./faults.ts";
import { SHORT_SITE_FAULTS, SITE_FAULTS } from "./site-faults.ts";
import { TWO_SITES } from "./two-sites.ts";

const { killedA, pausedB } = NODE_FAULTS;

describeFaults("two sites under load", TWO_SITES, [
  [
    ...([25, 27] as const),
    [
      ...[...Object.values(SHORT_FAULTS), ...Object.values(SHORT_SITE_FAULTS)],
      ...[...Object.values(SITE_FAULTS), killedA, pausedB],
    ],
  ],
]);
