import type { Discovery, Strategy } from "@isthmus/strategies";
import { type Clock, type IsthmusError, isIsthmusError, systemClock } from "@isthmus/wire";
import { describe, expect, it } from "vitest";
import { recordingLogger } from "./support/fake-cluster.ts";

/** A source of nodes for one check, and strategies that ask it. */
export interface ComplianceSource {
  /** Makes a strategy that asks this source. */
  make(): Strategy;
  /** What the strategy finds there, in any order. */
  readonly nodes: readonly string[];
  /** Makes the source fail from now on. To be left out where nothing can fail, such as a fixed list. */
  fail?(): void | Promise<void>;
  close?(): void | Promise<void>;
}

/** What {@link strategyCompliance} needs. */
export interface ComplianceOptions {
  /** Makes a new source, for each check. */
  source(): ComplianceSource | Promise<ComplianceSource>;
  /** Milliseconds in which an answer or a failure must be reported. @default 10000 */
  readonly withinMs?: number;
  /** Calls that must throw STRATEGY_OPTIONS_INVALID, by what is wrong with their options. */
  readonly badOptions?: Readonly<Record<string, () => unknown>>;
  /** Tokens, passwords and the like that the source is given: they must be in no error and in no log line. */
  readonly secrets?: readonly string[];
  /** @default "bridge@127.0.0.1" */
  readonly self?: string;
}

/** A check by the sentence that it proves. Rejects when that is not so. */
export type ComplianceCheck = (options: ComplianceOptions) => Promise<void>;

/** Registers what every strategy must do as tests. */
export function strategyCompliance(title: string, options: ComplianceOptions): void {
  describe(`${title}, as every strategy,`, () => {
    for (const [sentence, check] of Object.entries(COMPLIANCE_CHECKS)) it(sentence, () => check(options));
    for (const [what, make] of Object.entries(options.badOptions ?? {})) {
      it(`refuses ${what}`, () => checkRefusal(make, options));
    }
  });
}

/** What every strategy must do. */
export const COMPLIANCE_CHECKS: Readonly<Record<string, ComplianceCheck>> = {
  "reports all its nodes": (options) =>
    running(options, async ({ source, reports, answered }) => {
      await answered();
      expect(sorted(reports.find(({ ok }) => ok))).toEqual([...source.nodes].sort());
    }),

  "can be stopped twice, also at once": (options) =>
    running(options, async ({ strategy, answered }) => {
      await answered();
      await Promise.all([strategy.stop(), strategy.stop()]);
      await strategy.stop();
    }),

  "can be stopped before its first answer, and then says nothing": (options) =>
    running(options, async ({ strategy, reports, end }) => {
      await end();
      const before = reports.length;
      strategy.refresh?.();
      await turns();
      expect(reports.length, "reports after stop").toBe(before);
    }),

  "says nothing after it was aborted": (options) =>
    running(options, async ({ strategy, reports, abort, answered }) => {
      await answered();
      strategy.refresh?.();
      abort.abort();
      const before = reports.length;
      strategy.refresh?.();
      await strategy.stop();
      await turns();
      expect(reports.length, "reports after the abort").toBe(before);
    }),

  "can be refreshed at any time": (options) =>
    running(options, async ({ strategy, source, reports, answered }) => {
      for (let time = 0; time < 3; time++) strategy.refresh?.();
      await answered();
      for (let time = 0; time < 3; time++) strategy.refresh?.();
      await turns();
      for (const report of reports) expect(sorted(report)).toEqual([...source.nodes].sort());
    }),

  "can be told that this node leaves, and goes on": (options) =>
    running(options, async ({ strategy, source, reports, answered }) => {
      strategy.drain?.();
      await answered();
      strategy.drain?.();
      strategy.refresh?.();
      await turns();
      for (const report of reports) expect(sorted(report)).toEqual([...source.nodes].sort());
    }),

  "reports a failure as a failure with a code, never as fewer nodes": (options) =>
    running(options, async ({ strategy, source, reports, answered, until }) => {
      if (source.fail === undefined) return;
      await answered();
      await source.fail();
      strategy.refresh?.();
      await until(() => reports.some(({ ok }) => !ok), "a failure was reported");
      expectFailures(reports, source, options);
    }),

  "reports a failure at its start as a failure": (options) =>
    running(
      options,
      async ({ source, reports, until }) => {
        if (source.fail === undefined) return;
        await until(() => reports.length > 0, "a failure was reported");
        expectFailures(reports, source, options);
      },
      async (source) => source.fail?.(),
    ),

  "leaves no timer and no handle": async (options) => {
    const before = resources();
    await running(options, ({ answered }) => answered());
    // what the other side of a connection holds goes a little later
    const more = (): string[] => excess(resources(), before);
    for (const end = Date.now() + 20_000; more().length > 0 && Date.now() < end; ) await turns();
    expect(more(), "left behind").toEqual([]);
  },

  "tells no secrets": (options) =>
    running(options, async ({ strategy, source, reports, logger, answered, until }) => {
      await answered();
      if (source.fail !== undefined) {
        await source.fail();
        strategy.refresh?.();
        await until(() => reports.some(({ ok }) => !ok), "a failure was reported");
      }
      for (const report of reports) if (!report.ok) expectNoSecrets(report.error, options);
      expectNoSecrets(logger.lines, options);
    }),
};

/** `make` throws what a strategy with wrong options must throw. */
export function checkRefusal(make: () => unknown, options: Pick<ComplianceOptions, "secrets">): void {
  let thrown: unknown;
  try {
    make();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({ code: "STRATEGY_OPTIONS_INVALID" });
  expectNoSecrets(thrown, options);
}

interface Running {
  readonly strategy: Strategy;
  readonly source: ComplianceSource;
  readonly reports: Discovery[];
  readonly logger: ReturnType<typeof recordingLogger>;
  readonly abort: AbortController;
  /** Waits for the first good answer. */
  answered(): Promise<void>;
  until(condition: () => boolean, what: string): Promise<void>;
  /** Aborts and stops. */
  end(): Promise<void>;
}

/** Starts a strategy, lets `body` look at it, and ends it; no timer of its clock may be left then. */
async function running(
  options: ComplianceOptions,
  body: (running: Running) => Promise<void>,
  before: (source: ComplianceSource) => void | Promise<void> = () => undefined,
): Promise<void> {
  const source = await options.source();
  const clock = new CountingClock();
  const abort = new AbortController();
  const reports: Discovery[] = [];
  const logger = recordingLogger();
  const until = (condition: () => boolean, what: string): Promise<void> =>
    waitUntil(condition, what, options.withinMs ?? 30_000);
  try {
    const strategy = source.make();
    await before(source);
    const end = async (): Promise<void> => {
      abort.abort(new Error("the check is over"));
      await strategy.stop();
    };
    // not waited for: a strategy may take any time; what it throws is a failure, as in a topology
    const started = (async () =>
      strategy.start({
        self: options.self ?? "bridge@127.0.0.1",
        report: (discovery) => void reports.push(discovery),
        logger,
        clock,
        signal: abort.signal,
        compat: false,
      }))().catch((error: IsthmusError) => void reports.push({ ok: false, error }));
    const answered = (): Promise<void> => until(() => reports.some(({ ok }) => ok), "nodes were reported");
    try {
      await body({ strategy, source, reports, logger, abort, answered, until, end });
    } finally {
      await end();
      await started;
    }
    expect(clock.pending, "timers left behind").toBe(0);
  } finally {
    await source.close?.();
  }
}

function expectFailures(
  reports: readonly Discovery[],
  source: ComplianceSource,
  options: ComplianceOptions,
): void {
  for (const report of reports) {
    if (report.ok) expect(sorted(report)).toEqual([...source.nodes].sort());
    else {
      expect(isIsthmusError(report.error), "the error has a code").toBe(true);
      expectNoSecrets(report.error, options);
    }
  }
}

function expectNoSecrets(value: unknown, { secrets = [] }: Pick<ComplianceOptions, "secrets">): void {
  const text = texts(value, new Set()).join("\n");
  for (const secret of secrets) expect(text.includes(secret), "a secret is shown").toBe(false);
}

/** Every text in `value`: of errors also message, stack and causes. */
function texts(value: unknown, seen: Set<unknown>): string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null || seen.has(value)) return [];
  seen.add(value);
  const hidden = value instanceof Error ? [value.message, value.stack, value.cause] : [];
  return [...hidden, ...Object.values(value)].flatMap((part) => texts(part, seen));
}

function sorted(report: Discovery | undefined): string[] | undefined {
  return report?.ok === true ? [...new Set(report.nodes)].sort() : undefined;
}

/** Lets everything go on that needs no more than some turns of the event loop. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

async function waitUntil(condition: () => boolean, what: string, withinMs: number): Promise<void> {
  for (const end = Date.now() + withinMs; !condition(); ) {
    if (Date.now() > end) throw new Error(`It took longer than ${withinMs} ms until ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** What keeps the process alive, by kind. */
function resources(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  counts.delete("Immediate");
  return counts;
}

function excess(now: ReadonlyMap<string, number>, before: ReadonlyMap<string, number>): string[] {
  return [...now].filter(([kind, count]) => count > (before.get(kind) ?? 0)).map(([kind]) => kind);
}

/** The system's clock, which knows how many of its timers run. */
class CountingClock implements Clock {
  pending = 0;

  now(): number {
    return systemClock.now();
  }

  after(ms: number, run: () => void): { cancel(): void } {
    let over = false;
    const finish = (): boolean => {
      if (over) return false;
      over = true;
      this.pending--;
      return true;
    };
    this.pending++;
    const timer = systemClock.after(ms, () => {
      if (finish()) run();
    });
    return {
      cancel: () => {
        finish();
        timer.cancel();
      },
    };
  }
}
