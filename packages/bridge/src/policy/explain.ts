import { inspectTerm, parseTerm } from "@isthmus/etf";
import { isIsthmusError, isNodeName, nearest, systemClock } from "@isthmus/wire";
import type { GroupOptions, MirrorOptions, RouteOptions } from "../options.ts";
import { nameByPattern } from "../routing/exported-pattern.ts";
import { OPERATIONS, type Operation } from "./operation.ts";
import { anyMatches, pattern } from "./pattern.ts";
import { Policy, type PolicyMode } from "./policy.ts";
import type { PolicyRule, Question, Subject } from "./rule.ts";

/** What {@link explain} looks at: part of a configuration. */
export interface Explained {
  readonly clusters: Readonly<Record<string, unknown>>;
  readonly routes: readonly RouteOptions[];
  readonly mirrors?: readonly MirrorOptions[];
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
  const exported = subject === "name" ? exportedName(config.routes, from!, to!, target!) : undefined;
  const question: Question = {
    from: from!,
    to: to!,
    fromNode,
    toNode,
    subject,
    target: group ?? exported ?? target!,
  };
  const policy = new Policy({
    rules: config.policy,
    routes: config.routes,
    groups: config.groups ?? [],
    mirrors: config.mirrors ?? [],
    mode: config.policyMode,
    clock: systemClock,
  });
  const { allowed, rule, passed, decides } = policy.explain(question, operation);
  const routed = exported !== undefined || isThere(config, question);
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
  if (carried && subject === "name" && exported === undefined)
    lines.push(`  at mirrors of nodes of ${to}; the bridge itself does not have it`);
  if (carried && decides.maxBytes !== undefined) lines.push(`  up to ${decides.maxBytes} bytes`);
  if (carried && decides.rate !== undefined)
    lines.push(
      `  up to ${decides.rate.perSecond} a second, ${decides.rate.burst} at once, from all of ${from}`,
    );
  if (carried && subject === "rpc")
    lines.push(
      `  on ${decides.nodes?.join(", ") ?? (isMirrored(config, question) ? "any node that is mirrored, asked of its mirror" : "the bridge of the other site, whose rules decide further")}`,
    );
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

/** What a name that a route exports is called where it is. One that is written out comes before patterns. */
function exportedName(
  routes: readonly RouteOptions[],
  from: string,
  to: string,
  asked: string,
): string | undefined {
  const between = routes.filter((one) => one.from === from && one.to === to);
  const exact = between.find(({ name, as = name }) => as === asked && !name.includes("*"));
  if (exact !== undefined) return exact.name;
  for (const { name, as = name } of between) {
    const found = name.includes("*") ? nameByPattern(as, name, asked) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Whether the configuration makes the target known to the sender at all. */
function isThere(config: Explained, question: Question): boolean {
  const { from, to, subject, target } = question;
  if (subject === "name")
    return (
      isMirrored(config, question) ||
      config.routes.some((one) => one.name === target && one.from === from && one.to === to)
    );
  return (
    subject !== "group" ||
    (config.groups ?? []).some(
      (one) => one.from === from && one.to === to && anyMatches(one.groups.map(pattern), target),
    )
  );
}

/** Whether the node that is asked, if it is said which, may appear as a mirror: then all its names are there. */
function isMirrored({ mirrors = [] }: Explained, { from, to, toNode }: Question): boolean {
  return mirrors.some(
    (one) =>
      one.from === from &&
      one.to === to &&
      (toNode === undefined || anyMatches(one.nodes?.map(pattern), toNode)),
  );
}

function hint(word: string, known: readonly string[]): string {
  const guess = nearest(word, known);
  return guess === undefined ? "" : ` Did you mean ${guess}?`;
}
