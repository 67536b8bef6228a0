import { loadConfig } from "../../config/config.ts";
import { EXIT } from "../exit-status.ts";

/** `isthmus check`: what the configuration would do, in the words of those who use it. */
export function check(file: string): number {
  const config = loadConfig(file);
  const out: string[] = [`${file} is fine.`, ""];
  for (const [id, cluster] of Object.entries(config.clusters)) {
    const targets = config.routes.filter(({ to }) => to === id).flatMap(({ nodes }) => nodes);
    const dialed = [...new Set([...cluster.hosts, ...targets])];
    const listen = `${cluster.listen?.host ?? "all addresses"}, ${cluster.listen?.port ? `port ${cluster.listen.port}` : "any free port"}`;
    out.push(
      `cluster ${id}`,
      `  is joined as      ${cluster.node} (hidden), listening on ${listen}`,
      `  registers with    ${cluster.epmd === false ? "no epmd" : `epmd at ${cluster.epmd?.host ?? "127.0.0.1"}:${cluster.epmd?.port ?? "ERL_EPMD_PORT or 4369"}`}`,
      `  stays connected   ${dialed.length === 0 ? "to nobody by itself; nodes may connect to it" : `to ${dialed.join(", ")}`}`,
    );
    const usable = config.routes.filter(({ from }) => from === id);
    if (usable.length === 0) out.push("  may use           nothing of the other clusters");
    for (const { as, name, to, nodes, balance } of usable) {
      const exported = as ?? name;
      const more = nodes.length > 1 ? ` (${balance ?? "first_up"})` : "";
      out.push(
        `  may use           ${name} of ${to}, on ${nodes.join(", ")}${more}:`,
        `                      GenServer.call({${elixirAtom(exported)}, :"${cluster.node}"}, request)`,
        `                      gen_server:call({${erlangAtom(exported)}, '${cluster.node}'}, Request)`,
      );
    }
    out.push("");
  }
  console.log(out.join("\n").trimEnd());
  return EXIT.OK;
}

function erlangAtom(text: string): string {
  return /^[a-z][A-Za-z0-9_@]*$/.test(text) ? text : `'${text.replace(/[\\']/g, "\\$&")}'`;
}

function elixirAtom(text: string): string {
  const module = /^Elixir\.([A-Z][A-Za-z0-9_]*(?:\.[A-Z][A-Za-z0-9_]*)*)$/.exec(text);
  if (module !== null) return module[1]!;
  return /^[a-z_][A-Za-z0-9_]*[?!]?$/.test(text) ? `:${text}` : `:${JSON.stringify(text)}`;
}
