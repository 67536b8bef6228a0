// The same as sites.test.ts with a nats-server between the bridges, which breaks, too.
import { describeFaults } from "./describe-faults.ts";
import { NODE_FAULTS } from "./faults.ts";
import { RESTARTED_NATS, SHORT_SITE_FAULTS, SITE_FAULTS } from "./site-faults.ts";
import { TWO_SITES_OVER_NATS } from "./two-sites.ts";

const { cutWire, killedA, replacedB } = SITE_FAULTS;

describeFaults("two sites that NATS joins, under load", TWO_SITES_OVER_NATS, [
  [23, 27, [RESTARTED_NATS, SHORT_SITE_FAULTS.cutWire, cutWire, killedA, replacedB]],
  [27, 29, [RESTARTED_NATS, replacedB, NODE_FAULTS.killedB]],
]);
