import { type BridgeConfig, loadConfig } from "../../config/config.ts";
import { explain } from "../../policy/explain.ts";
import { RESERVED_NAMES } from "../../policy/reserved-names.ts";
import type { PolicyRule } from "../../policy/rule.ts";
import { EXIT } from "../exit-status.ts";

/** What the command line asks for. */
export interface CheckOptions {
  /** A question about one signal; see {@link explain}. */
  readonly explain?: string;
}

/**
 * `isthmus check`: what the configuration would do, in the words of those who use it; or which rule decides about one
 * signal, and why. The status is 1 when that signal would be refused.
 */
export function check(file: string, options: CheckOptions = {}): number {
  const config = loadConfig(file);
  if (options.explain === undefined) {
    console.log(`${file} is in order.\n\n${describeConfig(config)}`);
    return EXIT.OK;
  }
  const answer = explain(config, options.explain);
  if ("problem" in answer) {
    console.error(`isthmus: ${answer.problem}`);
    return EXIT.USAGE;
  }
  console.log(answer.text);
  return answer.allowed ? EXIT.OK : EXIT.FAILED;
}

/** What a bridge with this configuration is in each cluster, whom it dials, and what may be called through it. */
export function describeConfig(config: BridgeConfig): string {
  const clusters = Object.keys(config.clusters).map((id) => describeCluster(config, id).join("\n"));
  return [...clusters, ...describePolicy(config), ...warnings(config)].join("\n\n");
}

/** The rules, in their order. Nothing when there are none. */
function describePolicy({ policy, policyMode }: BridgeConfig): string[] {
  if (policy.length === 0 && policyMode === "enforce") return [];
  const mode = policyMode === "log" ? ", mode log: what they refuse is carried and logged" : "";
  const rules = policy.map((rule, i) => `  ${describeRule(rule, i)}`);
  return [[`policy, the first rule that matches decides${mode}`, ...rules].join("\n")];
}

/** One rule on one line. */
export function describeRule(rule: PolicyRule, i: number): string {
  const { id, action, from, to, fromNodes, toNodes, names, pid, rpc, operations, nodes } = rule;
  const list = (items: readonly string[] | undefined): string => items?.join(", ") ?? "";
  const subject =
    names !== undefined
      ? `names ${list(names)}`
      : rpc !== undefined
        ? `functions ${list(rpc)}`
        : pid === true
          ? "processes by pid"
          : "everything";
  const parts = [
    `${id ?? `policy[${i}]`}: ${action} ${list(from) || "any cluster"} -> ${list(to) || "any cluster"}`,
    subject,
    operations && `operations ${list(operations)}`,
    fromNodes && `from nodes ${list(fromNodes)}`,
    toNodes && `to nodes ${list(toNodes)}`,
    nodes && `run on ${list(nodes)}`,
    rule.funs && "funs too",
    rule.maxBytes && `at most ${rule.maxBytes} bytes`,
    rule.rate && `at most ${rule.rate.perSecond} a second, ${rule.rate.burst} at once`,
    rule.audit && "logged",
  ];
  return parts.filter(Boolean).join("; ");
}

/** What is allowed in so many words and gives a whole node away all the same. */
function warnings({ routes, policy }: BridgeConfig): string[] {
  const named = [
    ...routes.map(({ name }, i) => [`routes[${i}]`, name] as const),
    ...policy.flatMap(({ id, action, names = [] }, i) =>
      action === "allow" ? names.map((name) => [id ?? `policy[${i}]`, name] as const) : [],
    ),
  ];
  return named
    .filter(([, name]) => RESERVED_NAMES.has(name))
    .map(
      ([rule, name]) =>
        `warning: ${rule} allows ${name}, a process of OTP with which a node can be taken over.`,
    );
}

function describeCluster({ clusters, routes, policy }: BridgeConfig, id: string): string[] {
  const { node, listen, epmd, embeddedEpmd, hosts = [] } = clusters[id]!;
  const targets = routes.filter(({ to }) => to === id).flatMap(({ nodes = [] }) => nodes);
  const running = policy.filter(({ to }) => to?.includes(id)).flatMap(({ nodes }) => nodes ?? []);
  const dialled = [...new Set([...hosts, ...targets, ...running])];
  const where = `${listen?.host ?? "all addresses"}, ${listen?.port ? `port ${listen.port}` : "any free port"}`;
  const registered =
    epmd === false || epmd === undefined
      ? "with no epmd: nodes of the cluster cannot find it by themselves"
      : `with the epmd at ${epmd.host}:${epmd.port}${EMBEDDED[embeddedEpmd ?? "never"]}`;
  const lines = [
    `cluster ${id}`,
    `  is           ${node}, a hidden node, on ${where}`,
    `  registers    ${registered}`,
    `  dials        ${dialled.length === 0 ? "nobody: nodes of the cluster have to connect to it" : dialled.join(", ")}`,
  ];
  const usable = routes.filter(({ from }) => from === id);
  if (usable.length === 0) lines.push("  may use      nothing of the other clusters");
  for (const { as, name, to, nodes = [], balance } of usable) {
    const exported = as ?? name;
    const choice = nodes.length > 1 ? `, ${BALANCE[balance ?? "first_up"]}` : "";
    lines.push(
      `  may use      ${name} of ${to}, on ${nodes.join(", ")}${choice}`,
      `                 GenServer.call({${elixirAtom(exported)}, ${elixirAtom(node)}}, request)`,
      `                 gen_server:call({${erlangAtom(exported)}, ${erlangAtom(node)}}, Request)`,
    );
  }
  return lines;
}

const EMBEDDED = {
  auto: ", or starts one if none is there",
  always: ", which it starts itself",
  never: "",
} as const;

const BALANCE = { first_up: "the first that is up", round_robin: "in turn" } as const;

/** As one types it in an Erlang shell. */
export function erlangAtom(text: string): string {
  const plain = /^[a-z][A-Za-z0-9_@]*$/.test(text) && !ERLANG_WORDS.has(text);
  return plain ? text : `'${text.replace(/[\\']/g, "\\$&")}'`;
}

const ERLANG_WORDS = new Set(
  "after and andalso band begin bnot bor bsl bsr bxor case catch cond div else end fun if let maybe not of or orelse receive rem try when xor".split(
    " ",
  ),
);

/** As one types it in `iex`. */
export function elixirAtom(text: string): string {
  const module = /^Elixir\.([A-Z][A-Za-z0-9_]*(?:\.[A-Z][A-Za-z0-9_]*)*)$/.exec(text);
  if (module !== null) return module[1]!;
  if (/^[A-Za-z_][A-Za-z0-9_]*[?!]?$/.test(text)) return `:${text}`;
  return `:"${text.replace(/[\\"]|#(?=\{)/g, "\\$&")}"`;
}
