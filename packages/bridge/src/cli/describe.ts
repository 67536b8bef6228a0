import type { BridgeConfig } from "../config/config.ts";
import { dialledNodes } from "../discovery/dialled-nodes.ts";
import { DEFAULT_MAX_MIRRORS, type FarClusterOptions, isFar, type OwnClusterOptions } from "../options.ts";
import { RESERVED_NAMES } from "../policy/reserved-names.ts";
import type { PolicyRule } from "../policy/rule.ts";
import { elixirAtom, erlangAtom } from "./atoms.ts";

/** What a bridge with this configuration is in each cluster, whom it dials, and what may be called through it. */
export function describeConfig(config: BridgeConfig): string {
  const clusters = Object.keys(config.clusters).map((id) => describeCluster(config, id).join("\n"));
  return [...clusters, ...describeOperation(config), ...describePolicy(config), ...warnings(config)].join(
    "\n\n",
  );
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
  const { id, action, from, to, fromNodes, toNodes, names, groups, pid, rpc, operations, nodes } = rule;
  const list = (items: readonly string[] | undefined): string => items?.join(", ") ?? "";
  const subject =
    names !== undefined
      ? `names ${list(names)}`
      : groups !== undefined
        ? `groups ${list(groups)}`
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

function describeCluster(config: BridgeConfig, id: string): string[] {
  const cluster = config.clusters[id]!;
  return [
    `cluster ${id}`,
    ...(isFar(cluster) ? describeFar(config, id, cluster) : describeOwn(config, id, cluster)),
    ...describeUse(config, id, isFar(cluster) ? undefined : cluster.node),
  ];
}

function describeFar({ clusters, addresses }: BridgeConfig, id: string, far: FarClusterOptions): string[] {
  const { site, as = id } = far;
  const joins = far.joins ?? Object.keys(clusters).find((other) => !isFar(clusters[other]!));
  const ways = addresses.get(site) ?? [];
  const reached = ways.length === 0 ? "which connects to this one" : `reached by ${ways.join(", ")}`;
  return [`  is           ${as} of site ${site}, ${reached}`, `  is joined    with ${joins}`];
}

function describeOwn(config: BridgeConfig, id: string, cluster: OwnClusterOptions): string[] {
  const { node, listen, epmd, embeddedEpmd, tls } = cluster;
  const dialled = dialledNodes(id, cluster.hosts ?? [], config);
  const found = Array.from(
    config.strategies.get(id) ?? [],
    ([topology, strategy]) =>
      `what ${strategy} finds${topology === strategy || topology === "discovery" ? "" : ` (${topology})`}`,
  );
  const whom = [...dialled, ...found];
  const where = `${listen?.host ?? "all addresses"}, ${listen?.port ? `port ${listen.port}` : "any free port"}`;
  const registered =
    epmd === false || epmd === undefined
      ? "with no epmd: nodes of the cluster cannot find it by themselves"
      : `with the epmd at ${epmd.host}:${epmd.port}${EMBEDDED[embeddedEpmd ?? "never"]}`;
  const lines = [
    `  is           ${node}, a hidden node, on ${where}${tls === undefined ? "" : ", over TLS"}`,
    `  registers    ${registered}`,
    `  dials        ${whom.length === 0 ? "nobody: nodes of the cluster have to connect to it" : whom.join(", ")}`,
  ];
  if (cluster.narrow === true) lines.push("  shows        pids and references that OTP 23 can read");
  return lines;
}

/** What a cluster may use of others: names, nodes, groups. `node` is the bridge's there, when it is ours. */
function describeUse(config: BridgeConfig, id: string, node: string | undefined): string[] {
  const { clusters, routes, mirrors, groups } = config;
  const lines: string[] = [];
  for (const { from, as, name, to, nodes = [], balance } of routes) {
    if (from !== id) continue;
    const choice = nodes.length > 1 ? `, ${BALANCE[balance ?? "first_up"]}` : "";
    const where = isFar(clusters[to]!) ? "where the other bridge says" : `on ${nodes.join(", ")}${choice}`;
    lines.push(`  may use      ${name} of ${to}${renamed(name, as)}, ${where}`);
    const exported = as ?? name;
    if (node !== undefined && !exported.includes("*")) lines.push(...calls(exported, node));
  }
  for (const { from, to, nodes, as, ports, max } of mirrors) {
    if (from !== id) continue;
    const which = nodes === undefined ? "the nodes" : `the nodes ${nodes.join(", ")}`;
    const called = as === undefined ? "under their own names at the bridge's host" : `as ${as}`;
    const at = ports === undefined ? "" : `, on the ports ${ports.from} to ${ports.to}`;
    lines.push(`  sees         ${which} of ${to} ${called}${at}, at most ${max ?? DEFAULT_MAX_MIRRORS}`);
  }
  for (const { from, to, scope = "pg", groups: patterns, form = "members" } of groups) {
    if (from !== id) continue;
    lines.push(
      `  sees         ${FORM[form]} of the groups ${patterns.join(", ")} of ${to}, in the scope ${scope}`,
    );
  }
  return lines.length === 0 ? ["  may use      nothing of the other clusters"] : lines;
}

function renamed(name: string, as: string | undefined): string {
  return as !== undefined && as !== name && name.includes("*") ? `, as ${as}` : "";
}

function calls(exported: string, node: string): string[] {
  return [
    `                 GenServer.call({${elixirAtom(exported)}, ${elixirAtom(node)}}, request)`,
    `                 gen_server:call({${erlangAtom(exported)}, ${erlangAtom(node)}}, Request)`,
  ];
}

/** What the bridge is for others, and how it runs. */
function describeOperation({ trunk, addresses, availability, admin, stateFile }: BridgeConfig): string[] {
  const lines: string[] = [];
  if (trunk !== undefined) {
    const { listen } = trunk;
    lines.push(`site ${trunk.site}`);
    if (listen !== undefined)
      lines.push(
        `  listens      on ${listen.host ?? "all addresses"}, port ${listen.port}, ${listen.tls === undefined ? "without TLS" : "over TLS"}`,
      );
    if (trunk.nats !== undefined) lines.push("  listens      over NATS");
    for (const [name, { certificate, secret }] of Object.entries(trunk.sites)) {
      const ways = addresses.get(name) ?? [];
      const known = [secret !== undefined && "a secret", certificate && "its certificate"].filter(Boolean);
      const how = ways.length === 0 ? "is called by" : "calls";
      const by = ways.length === 0 ? "" : ` at ${ways.join(", ")}`;
      lines.push(`  ${how.padEnd(12)} ${name}${by}, which is known by ${known.join(" and ")}`);
    }
  }
  const process = [
    availability && `  is active    while it has the lease ${availability.name} (${availability.lease})`,
    admin && `  tells        its state at http://${admin.host}:${admin.port}`,
    stateFile && `  keeps        what it must know after a restart in ${stateFile}`,
  ].filter((line) => line !== undefined);
  return [
    ...(lines.length === 0 ? [] : [lines.join("\n")]),
    ...(process.length === 0 ? [] : [`the bridge\n${process.join("\n")}`]),
  ];
}

const EMBEDDED = {
  auto: ", or starts one if none is there",
  always: ", which it starts itself",
  never: "",
} as const;

const BALANCE = { first_up: "the first that is up", round_robin: "in turn" } as const;

const FORM = { members: "the members", fan_out: "one process for all members" } as const;
