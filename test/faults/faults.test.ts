// Two real clusters and the bridge between them, under load in both directions while something breaks: processes learn
// of every loss, and nothing comes twice, out of order, or never.
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFailed } from "vitest";
import { describeNetwork } from "../support/network-namespaces.ts";
import { type OtpRelease, requireOtp } from "../support/peers.ts";
import { sumOf } from "./checker.ts";
import { FAULTS, type Fault, noticedByNobody, SHORT_FAULTS } from "./faults.ts";
import { TwoSides } from "./two-sides.ts";

const NOTHING_WRONG = sumOf([]);

const all: readonly Fault[] = [...Object.values(SHORT_FAULTS), ...Object.values(FAULTS)];
const { killedA, pausedB, cutA, killedBridge } = FAULTS;
const some: readonly Fault[] = [SHORT_FAULTS.pausedNode, killedA, pausedB, cutA, killedBridge];

const PAIRS: readonly (readonly [OtpRelease, OtpRelease, readonly Fault[]])[] = [
  [25, 27, all],
  [23, 27, some],
  [27, 29, some],
];

/** Why these cannot run; undefined when they can. */
function missing(releases: readonly OtpRelease[]): string | undefined {
  try {
    for (const release of releases) requireOtp(release);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

describeNetwork("under load", () => {
  for (const [a, b] of PAIRS) {
    const reason = missing([a, b]);
    if (reason === undefined) continue;
    // OTP 29 is not everywhere; the others have to be where peers are required
    const required = process.env["CI"] === "true" || process.env["ISTHMUS_REQUIRE_PEERS"] === "1";
    it.skipIf(!required || b === 29)(`OTP ${a} and OTP ${b}: ${reason}`, () => {
      throw new Error(reason);
    });
  }

  describe.each(PAIRS.filter(([a, b]) => missing([a, b]) === undefined))(
    "OTP %i and OTP %i",
    (a, b, faults) => {
      let sides: TwoSides;
      beforeAll(async () => {
        sides = await TwoSides.start(a, b);
        await sides.progressed();
      });
      afterAll(() => sides?.stop());

      beforeEach(() => {
        onTestFailed(
          () => void process.stderr.write(`The bridge printed:\n${sides.bridge.output.slice(-1500)}\n`),
        );
      });

      it.each(faults.map(({ title, run }) => [title, run] as const))("%s", async (_, run) => {
        await run(sides);
        await sides.progressed();
        expect(await sides.wrong()).toEqual(NOTHING_WRONG);
      });

      it("when all is well again nobody is told of anything, and everything comes to its end", async () => {
        await noticedByNobody(sides, () => sides.progressed(10));
        await sides.quiesce();
        expect(await sides.wrong()).toEqual(NOTHING_WRONG);
        expect(sides.bridge.output).not.toMatch(/"level":"error"/);
      });
    },
  );
});
