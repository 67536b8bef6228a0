import type { Balance } from "../routing/node-choice.ts";
import { type FunctionPattern, functionPattern, matchesFunction } from "./mfa.ts";
import { OPERATIONS, type Operation } from "./operation.ts";
import { anyMatches, type Pattern, pattern } from "./pattern.ts";
import { RESERVED_NAMES } from "./reserved-names.ts";

/**
 * One rule of a policy. The first rule that matches a signal decides about it. A rule is about names (`names`), about
 * what is addressed by pid or alias (`pid`), about functions (`rpc`), or about process groups (`groups`); a `deny` with
 * none of the four is about everything.
 */
export interface PolicyRule {
  /** For the log. @default its place, as `policy[2]` */
  readonly id?: string;
  readonly action: "allow" | "deny";
  /** Clusters that signals come from. @default any */
  readonly from?: readonly string[];
  /** Clusters that they are for. @default any */
  readonly to?: readonly string[];
  /** Patterns of the names of the sending nodes. @default any */
  readonly fromNodes?: readonly string[];
  /** Patterns of the names of the receiving nodes. @default any */
  readonly toNodes?: readonly string[];
  /** Patterns of registered names, as the cluster that has the process knows them. */
  readonly names?: readonly string[];
  readonly pid?: boolean;
  /** `module:function/arity`; see {@link functionPattern}. */
  readonly rpc?: readonly string[];
  /**
   * Patterns of the names of process groups of `to` that `from` may see, as Erlang writes them: `{room,*}`. Of nodes,
   * only `toNodes` counts, which are those of the members.
   */
  readonly groups?: readonly string[];
  /**
   * `send` stands for call, cast, info and reply.
   * @default what a conversation needs for `allow` (see {@link DEFAULT_OPERATIONS}), all for `deny`
   */
  readonly operations?: readonly (Operation | "send")[];
  /** `rpc`: the nodes that run the functions. */
  readonly nodes?: readonly string[];
  /** `rpc`: how to choose among them. @default "first_up" */
  readonly balance?: Balance;
  /** Messages may have funs of `erl_eval` in them; calls by `rpc` any funs. @default false */
  readonly funs?: boolean;
  /** Longer messages are refused. Bytes of the message in external term format. @default no limit */
  readonly maxBytes?: number;
  /** More messages are refused; counted for each rule and sending cluster. @default no limit */
  readonly rate?: { readonly perSecond: number; readonly burst: number };
  /** Tell in the log, too, what this rule allows. @default false */
  readonly audit?: boolean;
}

/** What `allow` means where no operations are given. */
export const DEFAULT_OPERATIONS: Readonly<Record<Subject, readonly Operation[]>> = {
  name: ["call", "cast", "info", "reply", "monitor"],
  pid: ["call", "cast", "info", "reply", "monitor", "link"],
  rpc: ["call", "cast"],
  group: ["group"],
};

/** What a signal is addressed to. */
export type Subject = "name" | "pid" | "rpc" | "group";

/** Whom a signal is from and what it is for, as far as rules look at it. */
export interface Question {
  readonly from: string;
  readonly to: string;
  /** Undefined when it is not known: then patterns of nodes are taken to match. */
  readonly fromNode: string | undefined;
  readonly toNode: string | undefined;
  readonly subject: Subject;
  /** The registered name, `module:function/arity`, or the name of the group. */
  readonly target: string;
}

/** A rule made ready. */
export class CompiledRule {
  readonly id: string;
  readonly rule: PolicyRule;
  /** Bits by the places in {@link OPERATIONS}. */
  readonly operations: number;
  /** Whether the names of nodes make a difference. */
  readonly byNode: boolean;
  readonly #fromNodes: readonly Pattern[] | undefined;
  readonly #toNodes: readonly Pattern[] | undefined;
  readonly #names: readonly Pattern[] | undefined;
  readonly #functions: readonly FunctionPattern[] | undefined;
  readonly #groups: readonly Pattern[] | undefined;

  /** @throws TypeError for a function pattern that cannot be used */
  constructor(id: string, rule: PolicyRule) {
    this.id = id;
    this.rule = rule;
    this.operations = operationBits(rule);
    this.byNode = rule.fromNodes !== undefined || rule.toNodes !== undefined;
    this.#fromNodes = rule.fromNodes?.map(pattern);
    this.#toNodes = rule.toNodes?.map(pattern);
    this.#names = rule.names?.map(pattern);
    this.#groups = rule.groups?.map(pattern);
    this.#functions = rule.rpc?.map((text) => {
      const compiled = functionPattern(text);
      if (typeof compiled === "string") throw new TypeError(`${text} ${compiled}`);
      return compiled;
    });
  }

  get allows(): boolean {
    return this.rule.action === "allow";
  }

  /** Whether it may say anything about signals between these clusters. */
  between(from: string, to: string): boolean {
    return (this.rule.from?.includes(from) ?? true) && (this.rule.to?.includes(to) ?? true);
  }

  has(operation: number): boolean {
    return (this.operations & (1 << operation)) !== 0;
  }

  /** Why it does not match, operation aside, in a few words; undefined when it does. */
  mismatch(question: Question): string | undefined {
    const { from, to, fromNode, toNode, subject, target } = question;
    if (!this.between(from, to)) return "other clusters";
    if (fromNode !== undefined && !anyMatches(this.#fromNodes, fromNode)) return "other sending nodes";
    if (toNode !== undefined && !anyMatches(this.#toNodes, toNode)) return "other receiving nodes";
    const { names, pid, rpc, groups } = this.rule;
    if (names === undefined && pid !== true && rpc === undefined && groups === undefined) return undefined;
    switch (subject) {
      case "name":
        if (this.#names === undefined) return "not about names";
        return this.#names.some((one) => one.matches(target) && (one.literal || !RESERVED_NAMES.has(target)))
          ? undefined
          : "other names";
      case "pid":
        return pid === true ? undefined : "not about pids";
      case "rpc": {
        if (this.#functions === undefined) return "not about functions";
        const [module, name, arity] = splitFunction(target);
        return this.#functions.some((one) => matchesFunction(one, module, name, arity))
          ? undefined
          : "other functions";
      }
      case "group":
        if (this.#groups === undefined) return "not about groups";
        return anyMatches(this.#groups, target) ? undefined : "other groups";
    }
  }
}

function operationBits(rule: PolicyRule): number {
  const given =
    rule.operations ?? (rule.action === "deny" ? OPERATIONS : DEFAULT_OPERATIONS[subjectOf(rule)]);
  let bits = 0;
  for (const one of given) {
    const words: readonly Operation[] = one === "send" ? ["call", "cast", "info", "reply"] : [one];
    for (const word of words) bits |= 1 << OPERATIONS.indexOf(word);
  }
  return bits;
}

function subjectOf({ names, rpc, groups }: PolicyRule): Subject {
  if (names !== undefined) return "name";
  if (rpc !== undefined) return "rpc";
  return groups === undefined ? "pid" : "group";
}

/** The module, function and arity of `module:function/arity`. */
function splitFunction(target: string): [string, string, number] {
  const colon = target.indexOf(":");
  const slash = target.lastIndexOf("/");
  return [target.slice(0, colon), target.slice(colon + 1, slash), Number(target.slice(slash + 1))];
}
