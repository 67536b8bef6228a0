import type { Side } from "./configuration.ts";
import { type Fault, noticedBy } from "./faults.ts";
import { mirroring } from "./mirrored.ts";
import type { Sides } from "./sides.ts";

/** A side does not see the other's nodes any more, and then it does again. */
const removedMirrors = (side: Side, others: Side): Fault => ({
  title: `the mirrors in ${side} are taken out of the configuration, and put in again`,
  async run(sides: Sides) {
    const bridge = sides.bridges[0]!;
    const reload = (shown: readonly Side[]): Promise<void> =>
      bridge.reload(mirroring(sides.members, bridge.host.address, shown));
    await noticedBy(sides, [`${side}1`, `${side}2`], () => reload([others]));
    await reload(["a", "b"]);
  },
});

/** What befalls mirrors by themselves. */
export const MIRROR_FAULTS = {
  removedA: removedMirrors("a", "b"),
  removedB: removedMirrors("b", "a"),
} satisfies Record<string, Fault>;
