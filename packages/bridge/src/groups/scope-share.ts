import type { PgEvent, PgMonitor, PgScope } from "@isthmus/core";
import { type Atom, atom, inspectTerm, type Pid, type Term } from "@isthmus/etf";
import type { Logger } from "@isthmus/wire";
import { OPERATION, OPERATIONS } from "../policy/operation.ts";
import { isKernelPid } from "../policy/reserved-names.ts";
import type { ClusterRouter } from "../routing/cluster-router.ts";
import type { RouterContext } from "../routing/context.ts";
import type { GroupEntry } from "./group-entry.ts";
import { SharedGroup } from "./shared-group.ts";

/** Characters of a group's name as Erlang writes it; groups with longer ones are not shared. */
const MAX_NAME = 1024;

/** What {@link ScopeShare} needs. */
export interface ScopeShareOptions {
  /** The cluster that sees groups, and the bridge's scope there. */
  readonly from: ClusterRouter;
  readonly here: PgScope;
  /** The cluster that has them, and the bridge's scope there. */
  readonly to: ClusterRouter;
  readonly there: PgScope;
  /** Whether `to` is of another site, and `from` is not: then the other bridge speaks for its cluster. */
  readonly fromFar: boolean;
  readonly context: Pick<RouterContext, "policy" | "refusals">;
  readonly logger: Logger;
}

/** The groups of one scope that one cluster sees of another. */
export class ScopeShare {
  readonly #options: ScopeShareOptions;
  /** By the term that the scope there has for a group: it is the same object as long as the group is there. */
  readonly #groups = new Map<Term, SharedGroup>();
  readonly #monitor: PgMonitor;
  readonly #stopListening: () => void;
  #entries: readonly GroupEntry[] = [];

  constructor(options: ScopeShareOptions) {
    this.#options = options;
    const { from, there } = options;
    this.#monitor = there.monitorScope({ onEvent: (event) => this.#changed(event) });
    // nodes of OTP 23 give up the connection over wide pids that others were told of, and mirrors have other names
    this.#stopListening = from.index.onChange(() => {
      for (const shared of this.#groups.values()) shared.renew();
    });
  }

  /** The first of the entries that fits a group shares it. Also to be called when the rules have changed. */
  configure(entries: readonly GroupEntry[]): void {
    const { there } = this.#options;
    this.#entries = entries;
    const all = new Set([...there.groups(), ...this.#groups.keys()]);
    for (const group of all) {
      const wanted: Pid[] = [];
      const name = nameOf(group);
      const entry = this.#entryOf(name);
      for (const [node, pids] of there.membersByNode(group)) {
        if (entry !== undefined) wanted.push(...this.#accepted(pids, node, name));
      }
      const known = this.#groups.get(group);
      if (known !== undefined && known.entry !== entry) this.#end(group, known);
      if (entry !== undefined) this.#set(group, entry, wanted);
    }
  }

  close(): void {
    this.#monitor.close();
    this.#stopListening();
    for (const [group, shared] of this.#groups) this.#end(group, shared);
  }

  #changed({ type, group, pids, node }: PgEvent): void {
    let shared = this.#groups.get(group);
    if (type === "leave") {
      shared?.remove(pids.filter((pid) => pid.node.text === node));
    } else {
      const name = nameOf(group);
      const entry = this.#entryOf(name);
      if (entry === undefined) return;
      const accepted = this.#accepted(pids, node, name);
      if (accepted.length === 0) return;
      shared ??= this.#share(group, entry);
      shared.add(accepted);
    }
    if (shared?.size === 0) this.#end(group, shared);
  }

  #set(group: Term, entry: GroupEntry, wanted: readonly Pid[]): void {
    let shared = this.#groups.get(group);
    if (shared === undefined && wanted.length === 0) return;
    shared ??= this.#share(group, entry);
    shared.replace(wanted);
    if (shared.size === 0) this.#end(group, shared);
  }

  #share(group: Term, entry: GroupEntry): SharedGroup {
    const { from, here: scope, to } = this.#options;
    const shared = new SharedGroup({ entry, from, scope, to, group });
    this.#groups.set(group, shared);
    return shared;
  }

  #end(group: Term, shared: SharedGroup): void {
    this.#groups.delete(group);
    shared.close();
  }

  #entryOf(name: string | undefined): GroupEntry | undefined {
    return name === undefined ? undefined : this.#entries.find((entry) => entry.fits(name));
  }

  /** Those of the members which `node` announces that may be seen. */
  #accepted(pids: readonly Pid[], node: string, name: string | undefined): readonly Pid[] {
    const holder = atom(node);
    const own = pids.filter((pid) => pid.node === holder && this.#isItsOwn(pid, holder));
    return own.length > 0 && name !== undefined && this.#allows(name, node) ? own : [];
  }

  /**
   * Whether a member is one of the node that announces it. What bridges announce lives in another cluster already: who
   * announced that once more would go round in circles. For a cluster of another site its bridge is the only voice.
   */
  #isItsOwn(pid: Pid, node: Atom): boolean {
    const { to, fromFar } = this.#options;
    const connection = to.node.connection(node);
    if (connection === undefined || isKernelPid(pid.id, pid.serial, connection.hidden)) return false;
    return connection.joinsBridges ? fromFar : pid.creation === connection.peerCreation;
  }

  #allows(name: string, node: string): boolean {
    const { from, to, context } = this.#options;
    const decision = context.policy.group(from.id, to.id, name, node);
    const { rule } = decision;
    const operation = OPERATIONS[OPERATION.GROUP]!;
    const audited = { cluster: from.id, to: to.id, node, operation, target: name, rule };
    if (decision.allows) {
      decision.allowed++;
      if (decision.audit) context.refusals.allow(audited);
      return true;
    }
    decision.refused++;
    if (context.policy.mode === "log") {
      context.refusals.note(audited);
      return true;
    }
    context.refusals.record(audited);
    return false;
  }
}

/** As patterns see it; undefined when it is too long to be looked at. */
function nameOf(group: Term): string | undefined {
  const name = inspectTerm(group, { compact: true, maxLength: MAX_NAME });
  return name.length > MAX_NAME ? undefined : name;
}
