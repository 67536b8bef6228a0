import { type Cluster, checkName, get, type MeaningInput, texts } from "./places.ts";
import type { KeyPath } from "./problem.ts";
import { isRecord } from "./schema-parts.ts";

type Item = Readonly<Record<string, unknown>>;

/** The names that the bridge's own node has. */
const OWN_NAMES = ["net_kernel"];

/** Finds what is wrong between routes, mirrors, groups and the clusters that they are between. */
export function checkCrossings(input: MeaningInput, clusters: readonly Cluster[]): void {
  for (const key of ["routes", "mirrors", "groups"] as const) {
    input[key].forEach((item, i) => {
      if (!isRecord(item)) return;
      const path: KeyPath = [key, i];
      checkEnds(input, clusters, item, path);
      if (key === "routes") checkRoute(input, clusters, item, path);
      else if (key === "mirrors") checkMirror(input, clusters, item, path);
      else checkGroup(input, item, path);
    });
  }
  checkExports(input);
}

/** Whatever crosses does so between two clusters of the file; one of another site meets the one that it is joined with only. */
function checkEnds(input: MeaningInput, clusters: readonly Cluster[], item: Item, path: KeyPath): void {
  const { add } = input;
  const ids = clusters.map(({ id }) => id);
  for (const side of ["from", "to"]) {
    const [place] = texts(input, item[side], [...path, side]);
    if (place !== undefined) checkName(input, ids, place);
  }
  const { from, to } = item;
  if (typeof from === "string" && from === to) {
    const what = { routes: "route", mirrors: "mirror", groups: "group" }[String(path[0])];
    add([...path, "to"], `is the cluster that the ${what} comes from; a ${what} leads into another one.`);
    return;
  }
  const [one, other] = [from, to].map((id) => clusters.find((cluster) => cluster.id === id));
  if (one === undefined || other === undefined) return;
  if (one.far && other.far) {
    add(
      [...path, "to"],
      `is of another site, and so is ${one.id}: one of them must be a cluster of this site.`,
    );
    return;
  }
  const [far, near] = one.far ? [one, other] : [other, one];
  if (!far.far) return;
  const joins = joinedWith(far, clusters);
  if (joins !== undefined && joins !== near.id) {
    const end = far === one ? "to" : "from";
    add([...path, end], `is not joined with ${far.id}, which joins ${joins}; that is what can be here.`);
  }
}

/** The cluster of ours that one of another site is joined with; undefined when that is not clear. */
export function joinedWith(far: Cluster, clusters: readonly Cluster[]): string | undefined {
  const given = get(far.raw, "joins");
  if (given !== undefined) return typeof given === "string" ? given : undefined;
  const ours = clusters.filter((cluster) => !cluster.far);
  return ours.length === 1 ? ours[0]!.id : undefined;
}

function checkRoute(input: MeaningInput, clusters: readonly Cluster[], route: Item, path: KeyPath): void {
  const { add } = input;
  const [one, many] = ["node" in route, "nodes" in route];
  if (one && many) add([...path, "node"], "and nodes are both given; keep one of them.", "key");
  if (clusters.some(({ id, far }) => far && id === route["to"])) {
    const key = one ? "node" : "nodes";
    if (one || many)
      add([...path, key], `has no meaning here: the bridge of ${route["to"]} chooses the node.`, "key");
  } else if (!one && !many) {
    add(path, "lacks the key node (or nodes, for several): where the process is.");
  }
  const [name] = texts(input, route["name"], [...path, "name"]);
  const [as] = texts(input, route["as"], [...path, "as"]);
  if (name !== undefined && as !== undefined && stars(name.text) !== stars(as.text))
    add(as.path, `must have as many * as name (${stars(name.text)}), each of which stands for the same.`);
  const exported = as ?? name;
  if (exported !== undefined && OWN_NAMES.includes(exported.text)) {
    add(exported.path, "is a name that the bridge's own node has; export it under another one with as.");
  }
}

function checkMirror(input: MeaningInput, clusters: readonly Cluster[], mirror: Item, path: KeyPath): void {
  const { add } = input;
  for (const side of ["from", "to"]) {
    const far = clusters.find(({ id, far: its }) => its && id === mirror[side]);
    if (far !== undefined)
      add(
        [...path, side],
        "is a cluster of another site, whose nodes cannot be mirrored; use routes, or groups.",
      );
  }
  const [as] = texts(input, mirror["as"], [...path, "as"]);
  if (as === undefined) return;
  if (as.text.split("@").length !== 2)
    add(as.path, "must be a node name, in which {name} and {host} may stand: {name}@10.0.0.5.");
  else if (!as.text.includes("{name}"))
    add(as.path, "must have {name} in it: every mirror needs a name of its own.");
}

function checkGroup({ add }: MeaningInput, group: Item, path: KeyPath): void {
  const [patterns, phoenix] = ["groups" in group, "phoenix_pubsub" in group];
  if (!patterns && !phoenix) add(path, "lacks the key groups (or phoenix_pubsub): which groups they are.");
  if (!phoenix) return;
  for (const key of ["groups", "scope"])
    if (key in group) add([...path, key], "is what phoenix_pubsub stands for; keep one of them.", "key");
}

/** A name is exported to a cluster only once. */
function checkExports({ add, routes }: MeaningInput): void {
  const seen = new Map<string, number>();
  routes.forEach((route, i) => {
    const from = get(route, "from");
    const as = get(route, "as") ?? get(route, "name");
    if (typeof from !== "string" || typeof as !== "string") return;
    const key = JSON.stringify([from, as]);
    const first = seen.get(key);
    if (first === undefined) seen.set(key, i);
    else {
      const field = get(route, "as") === undefined ? "name" : "as";
      add(
        ["routes", i, field],
        `exports ${as} to ${from} a second time: routes[${first}] does that. Give one of them another name with as, or put all nodes in one route.`,
      );
    }
  });
}

function stars(text: string): number {
  return text.split("*").length - 1;
}
