import type { Discovery, Strategy, StrategyContext } from "@isthmus/strategies";
import { type Clock, systemClock } from "@isthmus/wire";
import { type LogLine, recordingLogger } from "../support/fake-cluster.ts";

/** A strategy that runs, and what it reports. */
export interface Running {
  readonly reports: readonly Discovery[];
  readonly lines: readonly LogLine[];
  /** The nodes of the last report; its error's message when it is one. */
  readonly last: readonly string[] | string | undefined;
  /** Waits, bounded, until a report that `accept` takes has come after the call. */
  next(accept?: (report: Discovery) => boolean): Promise<Discovery>;
  stop(): Promise<void>;
}

/** Starts `strategy` as a topology does. */
export function run(
  strategy: Strategy,
  {
    compat = false,
    clock = systemClock,
    self = "js@127.0.0.1",
  }: { readonly compat?: boolean; readonly clock?: Clock; readonly self?: string } = {},
): Running {
  const reports: Discovery[] = [];
  const logger = recordingLogger();
  const abort = new AbortController();
  let told = (): void => undefined;
  const report = (discovery: Discovery): void => {
    reports.push(discovery);
    told();
  };
  const context: StrategyContext = { self, report, logger, clock, signal: abort.signal, compat };
  strategy.start(context);
  return {
    reports,
    lines: logger.lines,
    get last() {
      const last = reports.at(-1);
      return last?.ok === true ? [...last.nodes].sort() : last?.error.message;
    },
    async next(accept = () => true) {
      for (let at = reports.length; ; at++) {
        while (reports.length <= at)
          await arrival((resolve) => {
            told = resolve;
          });
        const found = reports[at]!;
        if (accept(found)) return found;
      }
    },
    async stop() {
      abort.abort(new Error("the test is over"));
      await strategy.stop();
    },
  };
}

function arrival(subscribe: (resolve: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("nothing was reported for 10 s")), 10_000);
    subscribe(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
