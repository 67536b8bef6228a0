import { expect } from "vitest";
import { until } from "../e2e/two-clusters.ts";
import type { NetworkHost } from "../support/network-namespaces.ts";
import {
  EVERYBODY,
  endedBridge,
  type Fault,
  noticedBy,
  noticedByNobody,
  pausedBridge,
  replacedBridge,
  shortlyPausedBridge,
} from "./faults.ts";
import type { Sides } from "./sides.ts";
import { TRUNK_PORT } from "./two-sites.ts";
import { cut, cutFor, mend, resetAtRandom, resetNoMore } from "./wire.ts";

/** Longer than a silent wire is kept, and shorter than the grace time. */
const SHORT_CUT_SECONDS = 2.5;
/** How often the wire breaks in {@link SHORT_SITE_FAULTS.brokenWire}. */
const BREAKS = 120;
/** Of so many packets one breaks it. */
const BREAK_EVERY = 30;

// the bridges are started in the order b, a
const B = 0;
const A = 1;

/** Both ends of the wire: the nats-server is one, where there is one. */
const ends = ({ bridges, programs }: Sides): [NetworkHost, NetworkHost] => [
  bridges[A]!.host,
  (programs[0] ?? bridges[B]!).host,
];

/** How often the trunk was taken up again. */
const resumptions = ({ bridges }: Sides): number => bridges[A]!.printed('"msg":"trunk resumed"');
const losses = ({ bridges }: Sides): number =>
  bridges.reduce((sum, bridge) => sum + bridge.printed('"msg":"trunk lost"'), 0);

/** Runs `during`, in which the wire breaks, and waits until the trunk is taken up again. */
async function resumed(sides: Sides, during: () => Promise<void>): Promise<void> {
  const before = [resumptions(sides), losses(sides)] as const;
  await noticedByNobody(sides, async () => {
    await during();
    await until(() => resumptions(sides) > before[0], "the trunk is taken up again");
  });
  expect(losses(sides)).toBe(before[1]);
}

/** What is over before the grace time is: nobody is told, and nothing is lost. */
export const SHORT_SITE_FAULTS = {
  cutWire: {
    title: "the wire between the sites is cut for less than the grace time",
    run: (sides: Sides) =>
      resumed(sides, () => {
        const [one, other] = ends(sides);
        return cutFor(one, [other], SHORT_CUT_SECONDS);
      }),
  },
  brokenWire: {
    title: "the wire between the sites breaks again and again, wherever it is in what is sent",
    run: (sides: Sides) =>
      resumed(sides, async () => {
        const before = resumptions(sides);
        const [host] = ends(sides);
        await resetAtRandom(host, TRUNK_PORT, BREAK_EVERY);
        try {
          await until(() => resumptions(sides) >= before + BREAKS, `it broke ${BREAKS} times`, 150_000);
        } finally {
          await resetNoMore(host);
        }
      }),
  },
  pausedA: shortlyPausedBridge(A, "the bridge that calls"),
  pausedB: shortlyPausedBridge(B, "the bridge that is called"),
} satisfies Record<string, Fault>;

/** Messages that it had taken are lost with it: the trunk sends them again. */
export const RESTARTED_NATS: Fault = {
  title: "the nats-server is killed and started again",
  run: (sides: Sides) =>
    resumed(sides, async () => {
      await sides.programs[0]!.kill();
      await sides.programs[0]!.start();
    }),
};

/** What ends sessions of the trunk; each is told to whom it concerns. */
export const SITE_FAULTS = {
  cutWire: {
    title: "the wire between the sites is cut for longer than the grace time",
    async run(sides: Sides) {
      const [one, other] = ends(sides);
      try {
        await noticedBy(sides, EVERYBODY, () => cut(one, [other]));
      } finally {
        await mend(one, [other]);
      }
    },
  },
  pausedA: pausedBridge(A, "the bridge that calls"),
  pausedB: pausedBridge(B, "the bridge that is called"),
  killedA: endedBridge("killed", A, "the bridge that calls"),
  replacedA: replacedBridge(A, "the bridge that calls"),
  replacedB: replacedBridge(B, "the bridge that is called"),
  stoppedA: endedBridge("told to end", A, "the bridge that calls"),
  stoppedB: endedBridge("told to end", B, "the bridge that is called"),
} satisfies Record<string, Fault>;
