import { isNodeName, nearest, systemClock } from "@isthmus/wire";
import type { RouteOptions } from "../options.ts";
import { OPERATIONS, type Operation } from "./operation.ts";
import { Policy, type PolicyMode } from "./policy.ts";
import type { PolicyRule, Question, Subject } from "./rule.ts";

/** What {@link explain} looks at: part of a configuration. */
export interface Explained {
  readonly clusters: Readonly<Record<string, unknown>>;
  readonly routes: readonly RouteOptions[];
  readonly policy: readonly PolicyRule[];
  readonly policyMode: PolicyMode;
}

/** An answer; or what is wrong with the question. */
export type Answer = { readonly allowed: boolean; readonly text: string } | { readonly problem: string };

const FORM = "CLUSTER[/NODE] -> CLUSTER[/NODE] OPERATION TARGET";
const QUESTION = /^\s*([\w.-]+)(?:\/(\S+))?\s*->\s*([\w.-]+)(?:\/(\S+))?\s+(\w+)\s+(\S.*?)\s*$/;
const FUNCTION = /^\S+:\S+\/\d{1,3}$/;

/** What each default is, in words. */
const DEFAULTS: Readonly<Record<string, string>> = {
  "default:pids": "processes of clusters that a route joins may be addressed by pid",
  "default:replies": "whoever may run functions of a cluster gets its answers",
  "default:deny": "nothing allows it",
};

/**
 * Says which rule decides about one signal, and why: `shop -> billing call orders`, `shop/shop1@host -> billing exit pid`,
 * `shop -> billing call orders:lookup/1`. The target is a registered name, `pid`, or a function.
 */
export function explain(config: Explained, text: string): Answer {
  const match = QUESTION.exec(text);
  if (match === null) {
    return {
      problem: `${JSON.stringify(text)} is no question. Ask ${FORM}, such as "shop -> billing call orders"; TARGET is a name, pid, or module:function/arity.`,
    };
  }
  const [, from, fromNode, to, toNode, word, target] = match as unknown as [string, string, ...string[]];
  const clusters = Object.keys(config.clusters);
  for (const id of [from!, to!]) {
    if (!clusters.includes(id)) return { problem: `There is no cluster ${id}.${hint(id, clusters)}` };
  }
  for (const node of [fromNode, toNode]) {
    if (node !== undefined && !isNodeName(node))
      return { problem: `${node} is no node name: write name@host.` };
  }
  const operation = (OPERATIONS as readonly string[]).includes(word!) ? (word as Operation) : undefined;
  if (operation === undefined) {
    return {
      problem: `${word} is no operation.${hint(word!, OPERATIONS)} There are: ${OPERATIONS.join(", ")}.`,
    };
  }
  const subject: Subject = target === "pid" ? "pid" : FUNCTION.test(target!) ? "rpc" : "name";
  // the sender calls it as the route exports it
  const route = config.routes.find(
    (one) => one.from === from && one.to === to && (one.as ?? one.name) === target,
  );
  const question: Question = {
    from: from!,
    to: to!,
    fromNode,
    toNode,
    subject,
    target: subject === "name" ? (route?.name ?? target!) : target!,
  };
  const policy = new Policy({
    rules: config.policy,
    routes: config.routes,
    mode: config.policyMode,
    clock: systemClock,
  });
  const { allowed, rule, passed, decides } = policy.explain(question, operation);
  const routed =
    subject !== "name" ||
    config.routes.some((one) => one.from === from && one.to === to && one.name === question.target);
  const carried = allowed && routed;
  const trial =
    config.policyMode === "log" && routed && !allowed && subject !== "rpc" && operation !== "group_leader";
  const lines = [
    `${from} -> ${to} ${operation} ${target}: ${carried ? "allowed" : trial ? "refused, but carried (policy_mode: log)" : "refused"}`,
    `  ${rule} decides${DEFAULTS[rule] === undefined ? "" : `: ${DEFAULTS[rule]}`}`,
  ];
  if (allowed && !routed) lines.push(`  but no route exports ${target} to ${from}, and so it is not there`);
  if (carried && decides.maxBytes !== undefined) lines.push(`  up to ${decides.maxBytes} bytes`);
  if (carried && decides.rate !== undefined)
    lines.push(
      `  up to ${decides.rate.perSecond} a second, ${decides.rate.burst} at once, from all of ${from}`,
    );
  if (carried && subject === "rpc") lines.push(`  on ${decides.nodes?.join(", ")}`);
  for (const { rule: other, why } of passed) lines.push(`  not ${other}: ${why}`);
  return { allowed: carried || trial, text: lines.join("\n") };
}

function hint(word: string, known: readonly string[]): string {
  const guess = nearest(word, known);
  return guess === undefined ? "" : ` Did you mean ${guess}?`;
}
