import type { Discovery, Strategy } from "@isthmus/strategies";
import { type Clock, systemClock } from "@isthmus/wire";
import { onTestFinished } from "vitest";
import { recordingLogger } from "./fake-cluster.ts";

/** A strategy that runs. */
export interface RunningStrategy {
  readonly strategy: Strategy;
  readonly reports: Discovery[];
  readonly logger: ReturnType<typeof recordingLogger>;
  readonly abort: AbortController;
  /** What `start` came to. */
  readonly started: Promise<void>;
  /** The nodes of the last good report, sorted; undefined before the first. */
  nodes(): string[] | undefined;
  /** Code and message of the last report when it was a failure. */
  failure(): { code: string; message: string } | undefined;
}

/** Starts a strategy; it is stopped when the test ends. */
export function runStrategy(
  strategy: Strategy,
  { clock = systemClock, self = "me@127.0.0.1", compat = false, passive = false }: RunOptions = {},
): RunningStrategy {
  const reports: Discovery[] = [];
  const logger = recordingLogger();
  const abort = new AbortController();
  onTestFinished(() => strategy.stop());
  const report = (discovery: Discovery): void => void reports.push(discovery);
  const started = (async () =>
    strategy.start({ self, report, logger, clock, signal: abort.signal, compat, passive }))();
  return {
    strategy,
    reports,
    logger,
    abort,
    started,
    nodes() {
      const last = reports.findLast(({ ok }) => ok);
      return last?.ok === true ? [...last.nodes].sort() : undefined;
    },
    failure() {
      const last = reports.at(-1);
      return last?.ok === false ? { code: last.error.code, message: last.error.message } : undefined;
    },
  };
}

interface RunOptions {
  readonly clock?: Clock;
  readonly self?: string;
  readonly compat?: boolean;
  readonly passive?: boolean;
}
