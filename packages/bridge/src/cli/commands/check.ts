import { type BridgeConfig, loadConfig } from "../../config/config.ts";
import { EXIT } from "../exit-status.ts";

/** `isthmus check`: what the configuration would do, in the words of those who use it. */
export function check(file: string): number {
  console.log(`${file} is in order.\n\n${describeConfig(loadConfig(file))}`);
  return EXIT.OK;
}

/** What a bridge with this configuration is in each cluster, whom it dials, and what may be called through it. */
export function describeConfig(config: BridgeConfig): string {
  return Object.keys(config.clusters)
    .map((id) => describeCluster(config, id).join("\n"))
    .join("\n\n");
}

function describeCluster({ clusters, routes }: BridgeConfig, id: string): string[] {
  const { node, listen, epmd, embeddedEpmd, hosts } = clusters[id]!;
  const targets = routes.filter(({ to }) => to === id).flatMap(({ nodes }) => nodes);
  const dialled = [...new Set([...hosts, ...targets])];
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
  for (const { as, name, to, nodes, balance } of usable) {
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
