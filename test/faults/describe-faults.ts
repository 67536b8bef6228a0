import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFailed } from "vitest";
import { describeNetwork } from "../support/network-namespaces.ts";
import { type OtpRelease, requireOtp } from "../support/peers.ts";
import { sumOf } from "./checker.ts";
import { type Fault, noticedByNobody } from "./faults.ts";
import { type Arrangement, Sides } from "./sides.ts";

/** Two releases of OTP, and what befalls clusters of them. */
export type Pair = readonly [a: OtpRelease, b: OtpRelease, faults: readonly Fault[]];

const NOTHING_WRONG = sumOf([]);

/** Why these cannot run; undefined when they can. */
function missing(releases: readonly OtpRelease[]): string | undefined {
  try {
    for (const release of releases) requireOtp(release);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Two real clusters and what joins them, under load in both directions, while one after the other befalls them. */
export function describeFaults(title: string, arrangement: Arrangement, pairs: readonly Pair[]): void {
  describeNetwork(title, () => {
    for (const [a, b] of pairs) {
      const reason = missing([a, b]);
      if (reason === undefined) continue;
      // OTP 29 is not everywhere; the others have to be where peers are required
      const required = process.env["CI"] === "true" || process.env["ISTHMUS_REQUIRE_PEERS"] === "1";
      it.skipIf(!required || b === 29)(`OTP ${a} and OTP ${b}: ${reason}`, () => {
        throw new Error(reason);
      });
    }

    describe.each(pairs.filter(([a, b]) => missing([a, b]) === undefined))(
      "OTP %i and OTP %i",
      (a, b, faults) => {
        let sides: Sides;
        beforeAll(async () => {
          sides = await Sides.start(a, b, arrangement);
        });
        afterAll(() => sides?.stop());

        beforeEach(() => {
          onTestFailed(() => {
            for (const { title: name, output } of sides?.bridges ?? [])
              process.stderr.write(`${name} printed:\n${output.slice(-1500)}\n`);
          });
        });

        it.each(faults.map((fault) => [fault.title, fault.run] as const))(
          "%s",
          { timeout: 180_000 },
          async (_, run) => {
            await run(sides);
            await sides.progressed();
            expect(await sides.wrong()).toEqual(NOTHING_WRONG);
          },
        );

        it("when all is well again nobody is told of anything, and everything comes to its end", async () => {
          await noticedByNobody(sides, () => sides.progressed(10));
          await sides.quiesce();
          expect(await sides.wrong()).toEqual(NOTHING_WRONG);
          for (const { output } of sides.bridges) expect(output).not.toMatch(/"level":"error"/);
        });
      },
    );
  });
}
