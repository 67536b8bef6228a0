import type { Atom } from "@isthmus/etf";
import type { Clock } from "@isthmus/wire";
import { Decision } from "./decision.ts";
import { OPERATION, OPERATIONS, type Operation } from "./operation.ts";
import { pattern } from "./pattern.ts";
import { CompiledRule, type PolicyRule, type Question, type Subject } from "./rule.ts";

/** `log` carries what rules refuse, and says so. */
export type PolicyMode = "enforce" | "log";

/** A name that a route exports: what it allows. */
export interface RoutedName {
  readonly from: string;
  readonly to: string;
  /** As `to` knows it. */
  readonly name: string;
  /** Patterns of the names of the nodes that have it. @default any */
  readonly nodes?: readonly string[];
}

/** Nodes of `to` that appear in `from`: what it allows. */
export interface MirroredNodes {
  readonly from: string;
  readonly to: string;
}

/** Groups that a cluster is to see: what it allows. */
export interface SharedGroups {
  readonly from: string;
  readonly to: string;
  /** Patterns of their names. */
  readonly groups: readonly string[];
}

/** What {@link Policy} is made of. */
export interface PolicyOptions {
  readonly rules: readonly PolicyRule[];
  readonly routes: readonly RoutedName[];
  /** @default none */
  readonly groups?: readonly SharedGroups[];
  /** @default none */
  readonly mirrors?: readonly MirroredNodes[];
  /** @default "enforce" */
  readonly mode?: PolicyMode;
  readonly clock: Clock;
}

/** What {@link Policy.rpc} finds. */
export interface RpcRule {
  readonly to: string;
  readonly rule: PolicyRule;
  readonly decision: Decision;
}

/** How often a rule has decided. */
export interface RuleCount {
  readonly rule: string;
  readonly allowed: number;
  readonly refused: number;
}

/** Why a signal would be carried or not. */
export interface Explanation {
  readonly allowed: boolean;
  /** The id of the rule that decides. */
  readonly rule: string;
  /** The rules before it, and why they do not. */
  readonly passed: readonly { readonly rule: string; readonly why: string }[];
  /** The rule itself, unless nothing but the default decides. */
  readonly decides: PolicyRule;
}

/** The rules that follow the written ones: pids between clusters that a route or groups join, answers of functions; nothing more. */
export const DEFAULT_PIDS = "default:pids";
export const DEFAULT_REPLIES = "default:replies";
export const DEFAULT_DENY = "default:deny";

/** Nodes and names that are told apart in one gate; a cluster that makes up node names must not fill the memory. */
const MAX_CACHED = 4096;

/** The rules of a bridge, in their order, made ready once. */
export class Policy {
  readonly mode: PolicyMode;
  readonly #clock: Clock;
  readonly #rules: readonly CompiledRule[];
  readonly #pids = new CompiledRule(DEFAULT_PIDS, { action: "allow", pid: true });
  readonly #replies = new CompiledRule(DEFAULT_REPLIES, {
    action: "allow",
    pid: true,
    operations: ["reply"],
  });
  readonly #deny = new CompiledRule(DEFAULT_DENY, { action: "deny" });
  readonly #joined = new Set<string>();
  readonly #decisions = new Map<CompiledRule, Map<string, Decision>>();
  readonly #gates = new Map<string, Gate>();

  /** @throws TypeError for a function pattern that cannot be used */
  constructor(options: PolicyOptions) {
    this.mode = options.mode ?? "enforce";
    this.#clock = options.clock;
    const written = options.rules.map((rule, i) => new CompiledRule(rule.id ?? `policy[${i}]`, rule));
    const { routes, groups = [], mirrors = [] } = options;
    const implied = routes.map(({ from, to, name, nodes }, i) => {
      // at a mirror the sender names the node: that must be one of the route's
      const mirrored = nodes !== undefined && mirrors.some((one) => one.from === from && one.to === to);
      return new CompiledRule(`routes[${i}]`, {
        action: "allow",
        ...{ from: [from], to: [to], names: [name] },
        ...(mirrored ? { toNodes: nodes } : {}),
      });
    });
    const shared = groups.map(
      ({ from, to, groups: patterns }, i) =>
        new CompiledRule(`groups[${i}]`, { action: "allow", from: [from], to: [to], groups: patterns }),
    );
    this.#rules = [...written, ...implied, ...shared];
    for (const { from, to } of [...routes, ...groups, ...mirrors]) this.join(from, to);
  }

  /** Lets the processes of two clusters address each other by pid, as a route does. */
  join(one: string, other: string): void {
    this.#joined.add(JSON.stringify([one, other]));
    this.#joined.add(JSON.stringify([other, one]));
    this.#gates.clear();
  }

  /** What there is on the way from one cluster into another. */
  gate(from: string, to: string): Gate {
    const key = JSON.stringify([from, to]);
    const known = this.#gates.get(key);
    if (known !== undefined) return known;
    const rules = this.#rulesBetween(from, to);
    const gate = new Gate(from, to, rules, (rule) => this.#decision(rule, from));
    this.#gates.set(key, gate);
    return gate;
  }

  /**
   * The rule by which a function may be run, and the cluster that runs it; undefined when there is none. A request names
   * no cluster: of those that a rule would allow, the first counts that no other rule before it refuses.
   */
  rpc(from: string, mfa: string, sender: string, operation: number): RpcRule | undefined {
    for (const written of this.#rules) {
      const { rpc, to, nodes } = written.rule;
      if (!written.allows || rpc === undefined || to?.length !== 1 || to[0] === from || nodes === undefined)
        continue;
      const question: Question = {
        from,
        to: to[0]!,
        fromNode: sender,
        toNode: undefined,
        subject: "rpc",
        target: mfa,
      };
      const decides = this.#rulesBetween(from, to[0]!).find(
        (rule) => rule.has(operation) && rule.mismatch(question) === undefined,
      );
      if (decides === written)
        return { to: to[0]!, rule: written.rule, decision: this.#decision(written, from) };
    }
    return undefined;
  }

  /**
   * What decides about running a function on one node of a cluster, which a mirror stands for; undefined when nothing
   * lets it run. A rule with `nodes` is about those only.
   */
  rpcAt(
    from: string,
    to: string,
    mfa: string,
    sender: string,
    node: string,
    operation: number,
  ): Decision | undefined {
    const question: Question = { from, to, fromNode: sender, toNode: node, subject: "rpc", target: mfa };
    const decides = this.#rulesBetween(from, to).find(
      (one) =>
        one.has(operation) &&
        one.mismatch(question) === undefined &&
        (!one.allows || (one.rule.nodes?.some((text) => pattern(text).matches(node)) ?? true)),
    );
    return decides?.allows && decides.rule.rpc !== undefined ? this.#decision(decides, from) : undefined;
  }

  /** Whether `from` may see a member of a group of `to` that lives on `node`. Counts nothing. */
  group(from: string, to: string, name: string, node: string): Decision {
    const question: Question = {
      from,
      to,
      fromNode: undefined,
      toNode: node,
      subject: "group",
      target: name,
    };
    const decides = this.#rulesBetween(from, to).find(
      (rule) => rule.has(OPERATION.GROUP) && rule.mismatch(question) === undefined,
    );
    return this.#decision(decides!, from);
  }

  /** Whether processes of a cluster may run any functions. */
  mayRun(from: string): boolean {
    return this.#rules.some(
      ({ allows, rule }) =>
        allows && rule.rpc !== undefined && (rule.from?.includes(from) ?? true) && !rule.to?.includes(from),
    );
  }

  /** What decides about a signal, and why. */
  explain(question: Question, operation: Operation): Explanation {
    const passed: { rule: string; why: string }[] = [];
    const at = OPERATIONS.indexOf(operation);
    for (const compiled of [...this.#rules, ...this.#defaults(question.from, question.to)]) {
      const why = compiled.mismatch(question) ?? (compiled.has(at) ? undefined : "other operations");
      if (why === undefined)
        return { allowed: compiled.allows, rule: compiled.id, passed, decides: compiled.rule };
      passed.push({ rule: compiled.id, why });
    }
    throw new TypeError("the last rule matches everything");
  }

  /** How often each rule has decided, in the order in which they did so first. */
  counts(): RuleCount[] {
    return Array.from(this.#decisions, ([{ id }, byCluster]) => {
      let allowed = 0;
      let refused = 0;
      for (const decision of byCluster.values()) {
        allowed += decision.allowed;
        refused += decision.refused;
      }
      return { rule: id, allowed, refused };
    });
  }

  #rulesBetween(from: string, to: string): CompiledRule[] {
    return [...this.#rules.filter((rule) => rule.between(from, to)), ...this.#defaults(from, to)];
  }

  #defaults(from: string, to: string): CompiledRule[] {
    if (this.#joined.has(JSON.stringify([from, to]))) return [this.#pids, this.#deny];
    // whoever may run functions of a cluster gets its answers
    const answers = this.#rules.some(
      (one) => one.allows && one.rule.rpc !== undefined && one.between(to, from),
    );
    return answers ? [this.#replies, this.#deny] : [this.#deny];
  }

  #decision(rule: CompiledRule, from: string): Decision {
    let byCluster = this.#decisions.get(rule);
    if (byCluster === undefined) {
      byCluster = new Map();
      this.#decisions.set(rule, byCluster);
    }
    let decision = byCluster.get(from);
    if (decision === undefined) {
      decision = new Decision(rule, this.#clock);
      byCluster.set(from, decision);
    }
    return decision;
  }
}

/** One decision for each of {@link OPERATIONS}. */
export type Decisions = readonly Decision[];

/**
 * The rules on the way from one cluster into another. What they say is looked up once for each name and pair of nodes,
 * and kept; a look-up of what is kept makes no objects.
 */
export class Gate {
  readonly #from: string;
  readonly #to: string;
  readonly #rules: readonly CompiledRule[];
  readonly #decision: (rule: CompiledRule) => Decision;
  readonly #byNode: boolean;
  readonly #names = new Map<Atom, Map<Atom, Map<Atom, Decisions>>>();
  readonly #pids = new Map<Atom, Map<Atom, Decisions>>();
  #cached = 0;

  /** Use {@link Policy.gate}. */
  constructor(
    from: string,
    to: string,
    rules: readonly CompiledRule[],
    decision: (rule: CompiledRule) => Decision,
  ) {
    this.#from = from;
    this.#to = to;
    this.#rules = rules;
    this.#decision = decision;
    this.#byNode = rules.some((rule) => rule.byNode);
  }

  /** For what `sender`, a node, addresses to the registered name `name` of `node`. */
  name(name: Atom, sender: Atom, node: Atom): Decisions {
    // where nodes make no difference, one entry stands for all
    const one = this.#byNode ? sender : name;
    const other = this.#byNode ? node : name;
    const known = this.#names.get(name)?.get(one)?.get(other);
    return known ?? this.#keepName(name, one, other, this.#look("name", name.text, sender, node));
  }

  /** For what `sender` addresses to a pid or an alias of `node`. */
  pid(sender: Atom, node: Atom): Decisions {
    if (!this.#byNode) {
      this.#anyPid ??= this.#look("pid", "", sender, node);
      return this.#anyPid;
    }
    const known = this.#pids.get(sender)?.get(node);
    if (known !== undefined) return known;
    this.#room();
    const decisions = this.#look("pid", "", sender, node);
    const bySender = this.#pids.get(sender) ?? new Map<Atom, Decisions>();
    this.#pids.set(sender, bySender);
    bySender.set(node, decisions);
    return decisions;
  }
  #anyPid: Decisions | undefined;

  #keepName(name: Atom, sender: Atom, node: Atom, decisions: Decisions): Decisions {
    this.#room();
    const bySender = this.#names.get(name) ?? new Map<Atom, Map<Atom, Decisions>>();
    this.#names.set(name, bySender);
    const byNode = bySender.get(sender) ?? new Map<Atom, Decisions>();
    bySender.set(sender, byNode);
    byNode.set(node, decisions);
    return decisions;
  }

  #room(): void {
    if (++this.#cached <= MAX_CACHED) return;
    this.#names.clear();
    this.#pids.clear();
    this.#cached = 1;
  }

  #look(subject: Subject, target: string, sender: Atom, node: Atom): Decisions {
    const question = { ...this.#question(subject, target), fromNode: sender.text, toNode: node.text };
    const matching = this.#rules.filter((rule) => rule.mismatch(question) === undefined);
    return OPERATIONS.map((_name, at) => this.#decision(matching.find((rule) => rule.has(at))!));
  }

  #question(subject: Subject, target: string): Question {
    return { from: this.#from, to: this.#to, fromNode: undefined, toNode: undefined, subject, target };
  }
}
