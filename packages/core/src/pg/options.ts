import type { Atom } from "@isthmus/etf";
import { type Clock, type Logger, silentLogger, systemClock } from "@isthmus/wire";
import { coreError } from "../errors.ts";
import { toAtom } from "../process/address.ts";

/** Options of {@link startPg}. */
export interface PgOptions {
  /** Name of the scope; an atom on the other side, such as `Elixir.Phoenix.PubSub` for Elixir's `Phoenix.PubSub`. @default "pg" */
  readonly scope?: string | Atom;
  /** Members that one other node may have, each as often as it joined; what is beyond is left out and logged. @default 100000 */
  readonly maxMembersPerNode?: number;
  /** Bytes of the names of all groups in which one other node has members; what is beyond is left out and logged. @default 16777216 */
  readonly maxNameBytesPerNode?: number;
  /**
   * How often connected nodes whose scope has not answered are asked again, in milliseconds, 10 or more: a BEAM does
   * not tell a hidden node that it has started a scope. @default 1000
   */
  readonly discoverIntervalMs?: number;
  /** @default silent */
  readonly logger?: Logger;
  readonly clock?: Clock;
}

/** {@link PgOptions} with the defaults filled in. */
export interface CompletePgOptions {
  readonly scope: Atom;
  readonly maxMembers: number;
  readonly maxNameBytes: number;
  readonly discoverIntervalMs: number;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** @throws IsthmusError `OPTION_INVALID` */
export function completeOptions(options: PgOptions): CompletePgOptions {
  return {
    scope: toAtom(options.scope ?? "pg"),
    maxMembers: atLeast(0, "maxMembersPerNode", options.maxMembersPerNode ?? 100_000),
    maxNameBytes: atLeast(0, "maxNameBytesPerNode", options.maxNameBytesPerNode ?? 16 * 1024 * 1024),
    discoverIntervalMs: atLeast(10, "discoverIntervalMs", options.discoverIntervalMs ?? 1000),
    logger: options.logger ?? silentLogger,
    clock: options.clock ?? systemClock,
  };
}

function atLeast(least: number, name: string, value: number): number {
  if (value >= least) return value;
  throw coreError("OPTION_INVALID", `${name} must be ${least} or more, not ${value}.`);
}
