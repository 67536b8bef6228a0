import { inspectTerm, parseTerm } from "@isthmus/etf";
import { isIsthmusError, isNodeName, nearest, systemClock } from "@isthmus/wire";
import type { GroupOptions, RouteOptions } from "../options.ts";
import { OPERATIONS, type Operation } from "./operation.ts";
import { anyMatches, pattern } from "./pattern.ts";
import { Policy, type PolicyMode } from "./policy.ts";
import type { PolicyRule, Question, Subject } from "./rule.ts";

/** What {@link explain} looks at: part of a configuration. */
export interface Explained {
  readonly clusters: Readonly<Record<string, unknown>>;
  readonly routes: readonly RouteOptions[];
  readonly groups?: readonly GroupOptions[];
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
  "default:pids": "processes of clusters that a route or groups join may be addressed by pid",
  "default:replies": "whoever may run functions of a cluster gets its answers",
  "default:deny": "nothing allows it",
};

/**
 * Says which rule decides about one signal, and why: `shop -> billing call orders`, `shop/shop1@host -> billing exit pid`,
 * `shop -> billing call orders:lookup/1`, `shop -> billing group {room,7}`. The target is a registered name, `pid`, a
 * function, or the name of a group.
 */
export function explain(config: Explained, text: string): Answer {
  const match = QUESTION.exec(text);
  if (match === null) {
    return {
      problem: `${JSON.stringify(text)} is no question. Ask ${FORM}, such as "shop -> billing call orders"; TARGET is a name, pid, module:function/arity, or after the operation group the name of a process group.`,
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
  const subject = subjectOf(operation, target!);
  const group = subject === "group" ? groupName(target!) : undefined;
  if (subject === "group" && group === undefined)
    return { problem: `${target} is no name of a process group: write a term as Erlang does, {room,7}.` };
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
    target: group ?? (subject === "name" ? (route?.name ?? target!) : target!),
  };
  const policy = new Policy({
    rules: config.policy,
    routes: config.routes,
    groups: config.groups ?? [],
    mode: config.policyMode,
    clock: systemClock,
  });
  const { allowed, rule, passed, decides } = policy.explain(question, operation);
  const routed = isThere(config, question);
  const carried = allowed && routed;
  const trial =
    config.policyMode === "log" && routed && !allowed && subject !== "rpc" && operation !== "group_leader";
  const lines = [
    `${from} -> ${to} ${operation} ${target}: ${carried ? "allowed" : trial ? "refused, but carried (policy_mode: log)" : "refused"}`,
    `  ${rule} decides${DEFAULTS[rule] === undefined ? "" : `: ${DEFAULTS[rule]}`}`,
  ];
  if (allowed && !routed) {
    const missing = subject === "group" ? "no entry of groups shows" : "no route exports";
    lines.push(`  but ${missing} ${target} to ${from}, and so it is not there`);
  }
  if (carried && decides.maxBytes !== undefined) lines.push(`  up to ${decides.maxBytes} bytes`);
  if (carried && decides.rate !== undefined)
    lines.push(
      `  up to ${decides.rate.perSecond} a second, ${decides.rate.burst} at once, from all of ${from}`,
    );
  if (carried && subject === "rpc") lines.push(`  on ${decides.nodes?.join(", ")}`);
  for (const { rule: other, why } of passed) lines.push(`  not ${other}: ${why}`);
  return { allowed: carried || trial, text: lines.join("\n") };
}

function subjectOf(operation: Operation, target: string): Subject {
  if (operation === "group") return "group";
  return target === "pid" ? "pid" : FUNCTION.test(target) ? "rpc" : "name";
}

/** The name as patterns see it, however it was written. */
function groupName(text: string): string | undefined {
  try {
    return inspectTerm(parseTerm(text), { compact: true });
  } catch (error) {
    if (isIsthmusError(error)) return undefined;
    throw error;
  }
}

/** Whether the configuration makes the target known to the sender at all. */
function isThere({ routes, groups = [] }: Explained, { from, to, subject, target }: Question): boolean {
  if (subject === "name")
    return routes.some((one) => one.from === from && one.to === to && one.name === target);
  return (
    subject !== "group" ||
    groups.some((one) => one.from === from && one.to === to && anyMatches(one.groups.map(pattern), target))
  );
}

function hint(word: string, known: readonly string[]): string {
  const guess = nearest(word, known);
  return guess === undefined ? "" : ` Did you mean ${guess}?`;
}
