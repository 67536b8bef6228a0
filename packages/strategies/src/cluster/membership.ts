import type { Clock, Timer } from "@isthmus/wire";
import type { Claimant, Connections } from "./connections.ts";
import { ShrinkGuard, type ShrinkGuardOptions, type Verdict } from "./shrink-guard.ts";

/**
 * What becomes of a connected node that discovery no longer names. It is not dialled any more in any case.
 * - `immediately`: it is disconnected;
 * - `never`: its connection stays for as long as it lasts;
 * - `graceMs`: it is disconnected so many milliseconds later, unless it is named again before.
 */
export type Removal = "immediately" | "never" | { readonly graceMs: number };

/** The rules of a {@link Membership}. */
export interface MembershipRules {
  readonly removal: Removal;
  readonly guard: ShrinkGuardOptions;
}

/** Hears what changes in a {@link Membership}. */
export interface MembershipEvents {
  /** Called before anything is done about it. */
  changed(nodes: readonly string[], added: readonly string[], removed: readonly string[]): void;
  held(kept: readonly string[], answers: number): void;
}

/** Options of {@link Membership}. */
export interface MembershipOptions {
  readonly connections: Connections;
  readonly claimant: Claimant;
  readonly rules: MembershipRules;
  readonly clock: Clock;
  readonly events: MembershipEvents;
}

/** Which nodes one topology wants, by the answers of its discovery and its rules for nodes that go missing. */
export class Membership {
  readonly #options: MembershipOptions;
  #rules: MembershipRules;
  #guard: ShrinkGuard;
  #wanted: ReadonlySet<string> = new Set();
  /** The nodes that the last answer lacks and that are kept until that is confirmed. */
  #kept: readonly string[] = [];
  #confirmation: Timer | undefined;
  /** Nodes that are not wanted any more and disconnected when their time is over. */
  readonly #leaving = new Map<string, Timer>();

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#rules = options.rules;
    this.#guard = new ShrinkGuard(options.rules.guard);
  }

  /** The nodes that there should be, our own not among them. */
  get wanted(): ReadonlySet<string> {
    return this.#wanted;
  }

  /** Of {@link Membership.wanted}, those that the last answer lacks. */
  get kept(): readonly string[] {
    return this.#kept;
  }

  /** Nodes in their time of grace. */
  get leaving(): readonly string[] {
    return [...this.#leaving.keys()];
  }

  /** Discovery names `nodes`. */
  answered(nodes: readonly string[]): void {
    const answer = new Set(nodes);
    answer.delete(this.#options.connections.hooks.self);
    this.#settle();
    const verdict = this.#guard.check(this.#wanted, answer);
    this.#take(verdict);
    if (verdict.kept.length === 0) return;
    this.#options.events.held(verdict.kept, verdict.answers);
    this.#confirmation = this.#options.clock.after(this.#guard.confirmMs, () => {
      this.#guard.forget();
      this.#take({ nodes: answer, kept: [], answers: 0 });
    });
  }

  /** Discovery does not know: what was known stands, and nothing is confirmed. */
  failed(): void {
    this.#settle();
    this.#guard.forget();
  }

  /** Other rules from now on. Nodes in their time of grace keep it. */
  rule(rules: MembershipRules): void {
    this.#settle();
    this.#rules = rules;
    this.#guard = new ShrinkGuard(rules.guard);
  }

  /** Lets go of every node, by the rule for removal. */
  clear(): void {
    this.#settle();
    this.#take({ nodes: new Set(), kept: [], answers: 0 });
  }

  /** Ends timers; nothing is disconnected any more. */
  stop(): void {
    this.#settle();
    for (const timer of this.#leaving.values()) timer.cancel();
    this.#leaving.clear();
  }

  #settle(): void {
    this.#confirmation?.cancel();
    this.#confirmation = undefined;
  }

  #take({ nodes, kept }: Verdict): void {
    const { connections, claimant, events } = this.#options;
    const previous = this.#wanted;
    this.#wanted = nodes;
    this.#kept = kept;
    const added = [...nodes].filter((node) => !previous.has(node));
    const removed = [...previous].filter((node) => !nodes.has(node));
    if (added.length === 0 && removed.length === 0) return;
    events.changed([...nodes], added, removed);
    for (const node of removed) this.#remove(node);
    for (const node of added) {
      this.#leaving.get(node)?.cancel();
      this.#leaving.delete(node);
    }
    connections.claim(added, claimant);
  }

  #remove(node: string): void {
    const { connections, claimant, clock } = this.#options;
    const { removal } = this.#rules;
    if (typeof removal === "string") {
      connections.release(node, claimant, removal === "immediately");
      return;
    }
    connections.keep(node, claimant);
    const timer = clock.after(removal.graceMs, () => {
      this.#leaving.delete(node);
      connections.release(node, claimant, true);
    });
    this.#leaving.set(node, timer);
  }
}
