import { type PgScope, startPg } from "@isthmus/core";
import type { Clock, Logger } from "@isthmus/wire";
import type { ClusterRouter } from "../routing/cluster-router.ts";

interface Used {
  readonly scope: PgScope;
  users: number;
}

/** The scopes of `pg` that the bridge's nodes take part in: one for each cluster and name, as long as it is used. */
export class Scopes {
  readonly #scopes = new Map<string, Used>();
  readonly #logger: Logger;
  readonly #clock: Clock;

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  /**
   * The scope of this name in a cluster; for as long as until as many calls of {@link Scopes.leave}.
   * @throws IsthmusError `NAME_TAKEN` when a process of the bridge has the name, `NODE_CLOSED`
   */
  use({ id, node }: ClusterRouter, name: string): PgScope {
    const key = keyOf(id, name);
    let used = this.#scopes.get(key);
    if (used === undefined) {
      used = { scope: startPg(node, { scope: name, logger: this.#logger, clock: this.#clock }), users: 0 };
      this.#scopes.set(key, used);
    }
    used.users++;
    return used.scope;
  }

  /** Ends it when nobody uses it any more: then what it announced is gone. */
  leave({ id }: ClusterRouter, name: string): void {
    const key = keyOf(id, name);
    const used = this.#scopes.get(key);
    if (used === undefined || --used.users > 0) return;
    this.#scopes.delete(key);
    used.scope.close();
  }
}

function keyOf(cluster: string, scope: string): string {
  return JSON.stringify([cluster, scope]);
}
