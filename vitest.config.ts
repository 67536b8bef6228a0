import { defineConfig } from "vitest/config";

// Sources are used as they are: the "@isthmus/source" condition makes a build unnecessary.
// Not "import": it would hold for `require` as well, and give it ES modules.
const conditions = ["@isthmus/source", "node"];
// Tests wait for what they mean as long as it takes on a busy machine: an upper bound costs nothing when they pass.
const expectations = { poll: { timeout: 20_000 } };
const shared = { resolve: { conditions }, ssr: { resolve: { conditions, externalConditions: conditions } } };

export default defineConfig({
  ...shared,
  test: {
    reporters: ["default"],
    projects: [
      {
        ...shared,
        test: {
          name: "unit",
          include: ["packages/*/test/**/*.test.ts"],
          exclude: ["**/*.real.test.ts"],
          expect: expectations,
          // they are fast; a machine may be busy
          testTimeout: 120_000,
        },
      },
      {
        ...shared,
        test: {
          name: "real",
          include: ["packages/*/test/**/*.real.test.ts", "test/**/*.test.ts"],
          globalSetup: ["./test/support/global-setup.ts"],
          expect: expectations,
          testTimeout: 180_000,
          hookTimeout: 180_000,
          // real peers are processes: two test files at once suit two cores
          maxWorkers: 2,
          // after the unit tests: vitest runs projects with different numbers of workers one after the other
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
