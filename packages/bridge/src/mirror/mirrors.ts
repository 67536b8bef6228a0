import type { Clock, Logger } from "@isthmus/wire";
import { clusterLogger } from "../cluster-logger.ts";
import { bridgeError } from "../errors.ts";
import { type ClusterOptions, isFar, type MirrorOptions } from "../options.ts";
import type { RouterContext } from "../routing/context.ts";
import { MirrorEntry, MirrorNames, type MirrorStatus } from "./mirror-entry.ts";

/** What {@link Mirrors} needs. */
export interface MirrorsOptions {
  readonly clusters: Readonly<Record<string, ClusterOptions>>;
  readonly context: Pick<RouterContext, "router" | "limits">;
  readonly logger: Logger;
  readonly clock: Clock;
}

/**
 * Checks what one entry can be checked for without the others.
 * @throws IsthmusError `BRIDGE_OPTIONS_INVALID`
 */
export function checkMirrors(
  mirrors: readonly MirrorOptions[],
  clusters: Readonly<Record<string, ClusterOptions>>,
): void {
  for (const { from, to, as, ports, max } of mirrors) {
    for (const id of [from, to]) {
      const cluster = Object.hasOwn(clusters, id) ? clusters[id] : undefined;
      if (cluster === undefined) throw invalid(`There is no cluster ${JSON.stringify(id)}.`);
      if (isFar(cluster))
        throw invalid(`Mirrors are of and for clusters of this bridge, but ${id} is of another site.`);
    }
    if (from === to) throw invalid(`Mirrors of ${from} cannot be in ${from} itself.`);
    if (as !== undefined && as.split("@").length !== 2)
      throw invalid(`${JSON.stringify(as)} is no node name that mirrors can have.`);
    if (ports !== undefined && !(ports.from >= 1 && ports.from <= ports.to && ports.to <= 65_535))
      throw invalid(`There are no ports from ${ports.from} to ${ports.to}.`);
    if (max !== undefined && !(Number.isInteger(max) && max >= 1))
      throw invalid(`${max} is no number of mirrors.`);
  }
}

/** All mirrors of a bridge. */
export class Mirrors {
  readonly #options: MirrorsOptions;
  readonly #names = new MirrorNames();
  #entries: readonly MirrorEntry[] = [];

  constructor(options: MirrorsOptions) {
    this.#options = options;
  }

  /** Takes these entries in the place of those before; one that is the same keeps its mirrors. Check them first. */
  configure(given: readonly MirrorOptions[]): void {
    const before = new Map(this.#entries.map((entry) => [JSON.stringify(entry.options), entry]));
    const kept = new Set(given.map((options) => JSON.stringify(options)));
    for (const [key, entry] of before) if (!kept.has(key)) void entry.close();
    this.#entries = Array.from(kept, (key) => {
      const same = before.get(key);
      return same ?? this.#entry(given.find((options) => JSON.stringify(options) === key)!);
    });
  }

  status(): MirrorStatus[] {
    return this.#entries.flatMap((entry) => entry.status());
  }

  /** No new mirrors, and no new connections to those that there are. */
  async leave(): Promise<void> {
    await Promise.all(this.#entries.map((entry) => entry.leave()));
  }

  /** Resolves when everything that was sent is with the operating system, or after `timeoutMs`. */
  async flushed(timeoutMs: number): Promise<void> {
    await Promise.all(this.#entries.map((entry) => entry.flushed(timeoutMs)));
  }

  /** Ends all of them. May be called again. */
  async close(): Promise<void> {
    await Promise.all(this.#entries.map((entry) => entry.close()));
  }

  #entry(options: MirrorOptions): MirrorEntry {
    const { clusters, context, logger, clock } = this.#options;
    const cluster = clusters[options.from]!;
    if (isFar(cluster)) throw new TypeError(`${options.from} was to be checked before`);
    return new MirrorEntry(options, {
      from: context.router(options.from),
      to: context.router(options.to),
      cluster,
      limits: context.limits,
      names: this.#names,
      logger: clusterLogger(logger, options.from),
      clock,
    });
  }
}

function invalid(message: string): Error {
  return bridgeError("BRIDGE_OPTIONS_INVALID", message);
}
