import type { PgScope } from "@isthmus/core";
import type { Clock, Logger } from "@isthmus/wire";
import { bridgeError } from "../errors.ts";
import type { GroupOptions } from "../options.ts";
import { RESERVED_NAMES } from "../policy/reserved-names.ts";
import type { ClusterRouter } from "../routing/cluster-router.ts";
import type { RouterContext } from "../routing/context.ts";
import { GroupEntry, type GroupStatus } from "./group-entry.ts";
import { ScopeShare } from "./scope-share.ts";
import { Scopes } from "./scopes.ts";

/** What {@link GroupFederation} needs. */
export interface GroupFederationOptions {
  readonly context: Pick<RouterContext, "policy" | "refusals" | "router">;
  /** Whether a cluster is of another site. */
  readonly isFar: (cluster: string) => boolean;
  readonly logger: Logger;
  readonly clock: Clock;
}

interface Shared {
  readonly from: ClusterRouter;
  readonly to: ClusterRouter;
  readonly scope: string;
  readonly share: ScopeShare;
}

/** Lets clusters see the process groups of others, as the entries of `groups` say. */
export class GroupFederation {
  readonly #options: GroupFederationOptions;
  readonly #scopes: Scopes;
  readonly #shares = new Map<string, Shared>();
  #entries: readonly GroupEntry[] = [];

  constructor(options: GroupFederationOptions) {
    this.#options = options;
    this.#scopes = new Scopes(options.logger, options.clock);
  }

  /**
   * Has the bridge take part in all scopes that entries need, and shows nothing of them yet.
   * @throws IsthmusError `NAME_TAKEN` when a process of a bridge's node has the name of a scope; then all is as before
   */
  prepare(groups: readonly GroupOptions[]): void {
    const begun: [string, Shared][] = [];
    try {
      for (const options of groups) {
        const key = shareKey(options);
        if (!this.#shares.has(key)) begun.push([key, this.#begin(key, options)]);
      }
    } catch (error) {
      for (const [key, shared] of begun) this.#end(key, shared);
      throw error;
    }
  }

  /**
   * Takes other entries, or the same ones under other rules. What stays as it was is not touched.
   * @throws IsthmusError as {@link GroupFederation.prepare}
   */
  configure(groups: readonly GroupOptions[]): void {
    this.prepare(groups);
    const before = new Map(this.#entries.map((entry) => [JSON.stringify(entry.options), entry]));
    this.#entries = groups.map(
      (options) => before.get(JSON.stringify(options)) ?? new GroupEntry(options, this.#options.logger),
    );
    const byShare = new Map<string, GroupEntry[]>();
    for (const entry of this.#entries) {
      const key = shareKey(entry.options);
      const entries = byShare.get(key);
      if (entries === undefined) byShare.set(key, [entry]);
      else entries.push(entry);
    }
    for (const [key, shared] of this.#shares) if (!byShare.has(key)) this.#end(key, shared);
    for (const [key, entries] of byShare) this.#shares.get(key)?.share.configure(entries);
  }

  /** How each entry stands. */
  status(): GroupStatus[] {
    return this.#entries.map((entry) => entry.status());
  }

  /** Ends all: nobody sees anything of another cluster any more. */
  close(): void {
    for (const [key, shared] of this.#shares) this.#end(key, shared);
    this.#entries = [];
  }

  #begin(key: string, { from: fromId, to: toId, scope = "pg" }: GroupOptions): Shared {
    const { context, isFar, logger } = this.#options;
    const from = context.router(fromId);
    const to = context.router(toId);
    const here: PgScope = this.#scopes.use(from, scope);
    let there: PgScope;
    try {
      there = this.#scopes.use(to, scope);
    } catch (error) {
      this.#scopes.leave(from, scope);
      throw error;
    }
    const fromFar = isFar(toId) && !isFar(fromId);
    const share = new ScopeShare({ from, here, to, there, fromFar, context, logger });
    const shared = { from, to, scope, share };
    this.#shares.set(key, shared);
    return shared;
  }

  #end(key: string, { from, to, scope, share }: Shared): void {
    this.#shares.delete(key);
    share.close();
    this.#scopes.leave(from, scope);
    this.#scopes.leave(to, scope);
  }
}

/**
 * Looks whether entries can be used.
 * @throws IsthmusError `BRIDGE_OPTIONS_INVALID`
 */
export function checkGroups(groups: readonly GroupOptions[]): void {
  for (const { from, to, scope = "pg", groups: patterns, maxMembers = 0, maxMembersPerGroup = 0 } of groups) {
    if (from === to) throw invalid(`The groups of ${to} are in ${from} anyway: from and to must differ.`);
    if (patterns.length === 0) throw invalid(`The groups of ${to} in ${from} have no pattern.`);
    // the bridge's nodes have processes of such names, and it would be found out too late
    if (RESERVED_NAMES.has(scope))
      throw invalid(`The groups of ${to} in ${from} have the scope ${scope}, which is a process of OTP.`);
    if (!(maxMembers >= 0 && maxMembersPerGroup >= 0))
      throw invalid(`The limits of the groups of ${to} in ${from} must be 0 or more.`);
  }
}

function shareKey({ from, to, scope = "pg" }: GroupOptions): string {
  return JSON.stringify([from, to, scope]);
}

function invalid(message: string): Error {
  return bridgeError("BRIDGE_OPTIONS_INVALID", message);
}
