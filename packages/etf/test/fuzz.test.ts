import { expect, it } from "vitest";
import { fuzz } from "./fuzz.ts";
import { seen } from "./support/agreement.ts";

// ISTHMUS_FUZZ_COUNT=10000000 for the long run, ISTHMUS_FUZZ_SEED to repeat one
const count = Number(process.env["ISTHMUS_FUZZ_COUNT"] ?? 200_000);
const seed = Number(process.env["ISTHMUS_FUZZ_SEED"] ?? 20_251_121);

it(`decoder, skipTerm, rewriteTerm and encoder agree on ${count} inputs (seed ${seed})`, {
  timeout: 7_200_000,
}, () => {
  const started = process.hrtime.bigint();
  const result = fuzz(count, seed);
  const seconds = Number((process.hrtime.bigint() - started) / 1_000_000n) / 1000;
  expect(result.accepted + result.refused).toBe(count);
  // both must be met in number, or the inputs are no good
  expect(result.accepted).toBeGreaterThan(count / 20);
  expect(result.refused).toBeGreaterThan(count / 20);
  if (process.env["ISTHMUS_FUZZ_COUNT"] !== undefined) {
    process.stdout.write(
      `fuzz: ${count} inputs, seed ${seed}, ${result.accepted} valid, ${result.refused} refused, ${seen.otherCode} refused with different codes, ${seconds} s\n`,
    );
  }
});
