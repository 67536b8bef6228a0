import { isLongHost, isNodeName, nearest, parseNodeName } from "@isthmus/wire";
import { checkPolicy } from "./policy-meaning.ts";
import type { KeyPath } from "./problem.ts";
import { isRecord } from "./schema-parts.ts";

/** What {@link checkMeaning} needs. */
export interface MeaningInput {
  readonly clusters: Readonly<Record<string, unknown>>;
  readonly routes: readonly unknown[];
  readonly policy: readonly unknown[];
  /** epmd's port where the file says none. */
  readonly epmdPort: number;
  /** Whether nothing is known about the value at a path, for want of a variable. */
  readonly isUnresolved: (path: KeyPath) => boolean;
  /** Tells a problem. */
  readonly add: (path: KeyPath, message: string, on?: "key" | "value") => void;
}

/** A text of the file and where it stands. */
interface Place {
  readonly text: string;
  readonly path: KeyPath;
  /** It is a key itself. */
  readonly on: "key" | "value";
}

interface Cluster {
  readonly id: string;
  readonly raw: unknown;
  /** The bridge's name there, when it is a name. */
  readonly node: Place | undefined;
}

/** The names that the bridge's own node has. */
const OWN_NAMES = ["net_kernel"];

/**
 * Finds what is wrong between the parts of a file, each of which may be wrong in itself: those that are not what they
 * should be are passed over, since somebody else tells about them.
 */
export function checkMeaning(input: MeaningInput): void {
  const clusters = Object.entries(input.clusters).map(([id, raw]): Cluster => {
    const [node] = names(input, get(raw, "node"), ["clusters", id, "node"]);
    return { id, raw, node };
  });
  if (clusters.length < 2) {
    input.add(["clusters"], "must have at least two clusters: the bridge is between them.", "key");
  }
  for (const cluster of clusters) checkNames(input, cluster);
  checkClashes(input, clusters);
  for (const [i, route] of input.routes.entries()) checkRoute(input, clusters, route, ["routes", i]);
  checkExports(input);
  const ids = clusters.map(({ id }) => id);
  input.policy.forEach((rule, i) => {
    for (const side of ["from", "to"])
      for (const place of texts(input, get(rule, side), ["policy", i, side])) checkCluster(input, ids, place);
  });
  checkPolicy(input);
}

/** All names of one cluster are long, or all are short; the bridge is not its own peer; nobody is named twice. */
function checkNames(input: MeaningInput, { id, raw, node }: Cluster): void {
  const { add } = input;
  const at: KeyPath = ["clusters", id, "discovery"];
  const hosts = names(input, get(raw, "discovery", "hosts"), [...at, "hosts"]);
  const ports = Object.keys(record(get(raw, "discovery", "ports"))).map(
    (text): Place => ({ text, path: [...at, "ports", text], on: "key" }),
  );
  for (const { text, path } of ports) {
    if (!isNodeName(text)) add(path, "is not a node name: write it as name@host.", "key");
  }
  const targets = input.routes.map((route, i) =>
    get(route, "to") === id
      ? [
          ...names(input, get(route, "node"), ["routes", i, "node"]),
          ...names(input, get(route, "nodes"), ["routes", i, "nodes"]),
        ]
      : [],
  );
  for (const list of [hosts, ...targets]) checkTwice(input, list);
  for (const { text, path, on } of [...hosts, ...ports, ...targets.flat()]) {
    if (node === undefined || !isNodeName(text)) continue;
    if (text === node.text) {
      add(path, `is the bridge's own name in ${id}; name another node.`, on);
    } else if (isLong(text) !== isLong(node.text)) {
      const [its, ours] = isLong(text) ? ["long", "short"] : ["short", "long"];
      add(
        path,
        `is a ${its} name, but the bridge has a ${ours} one in ${id} (${node.text}); all nodes of a cluster have the same kind.`,
        on,
      );
    }
  }
}

function checkTwice({ add }: MeaningInput, places: readonly Place[]): void {
  places.forEach(({ text, path }, i) => {
    if (places.findIndex((place) => place.text === text) < i)
      add(path, "is in this list already; take one out.");
  });
}

/** Two identities of the bridge must not have one name in one epmd, nor one port. */
function checkClashes(input: MeaningInput, clusters: readonly Cluster[]): void {
  clusters.forEach((cluster, i) => {
    const { id, raw, node } = cluster;
    const path: KeyPath = ["clusters", id];
    const register = flag(get(raw, "epmd", "register"));
    const embedded = get(raw, "epmd", "embedded");
    if (register === false && (embedded === "always" || embedded === "auto")) {
      input.add(
        [...path, "epmd", "embedded"],
        "starts an epmd that register: false does not use; keep one of them.",
      );
    }
    for (const other of clusters.slice(0, i)) {
      const otherRegisters = flag(get(other.raw, "epmd", "register")) !== false;
      const epmd = epmdAddress(input, cluster);
      if (
        node !== undefined &&
        other.node !== undefined &&
        alive(node.text) === alive(other.node.text) &&
        register !== false &&
        otherRegisters &&
        epmd !== undefined &&
        epmd === epmdAddress(input, other)
      ) {
        input.add(
          node.path,
          `registers ${alive(node.text)} with the epmd at ${epmd}, and so does ${other.id}: one of them needs another name, or another epmd.port.`,
        );
      }
      const port = number(get(raw, "listen", "port"));
      if (
        port !== undefined &&
        port !== 0 &&
        port === number(get(other.raw, "listen", "port")) &&
        meet(raw, other.raw)
      ) {
        input.add(
          [...path, "listen", "port"],
          `is the port of ${other.id} too; give each its own, or 0 for any.`,
        );
      }
    }
  });
}

function checkRoute(input: MeaningInput, clusters: readonly Cluster[], route: unknown, path: KeyPath): void {
  if (!isRecord(route)) return;
  const { add } = input;
  const ids = clusters.map(({ id }) => id);
  for (const side of ["from", "to"]) {
    const [place] = texts(input, route[side], [...path, side]);
    if (place !== undefined) checkCluster(input, ids, place);
  }
  if (typeof route["from"] === "string" && route["from"] === route["to"]) {
    add([...path, "to"], "is the cluster that the route comes from; a route leads into another one.");
  }
  const [one, many] = ["node" in route, "nodes" in route];
  if (one && many) add([...path, "node"], "and nodes are both given; keep one of them.", "key");
  if (!one && !many) add(path, "lacks the key node (or nodes, for several): where the process is.");
  const [exported] = texts(input, route["as"] ?? route["name"], [...path, "as" in route ? "as" : "name"]);
  if (exported !== undefined && OWN_NAMES.includes(exported.text)) {
    add(exported.path, "is a name that the bridge's own node has; export it under another one with as.");
  }
}

function checkCluster({ add }: MeaningInput, ids: readonly string[], { text, path }: Place): void {
  if (text === "" || ids.includes(text)) return;
  const guess = nearest(text, ids);
  const hint = guess === undefined ? "" : ` did you mean ${JSON.stringify(guess)}?`;
  add(
    path,
    `names no cluster of this file;${hint} There ${ids.length === 1 ? "is" : "are"}: ${ids.join(", ")}.`,
  );
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

/** Where the bridge registers in a cluster; undefined when that cannot be known yet. */
function epmdAddress({ epmdPort, isUnresolved }: MeaningInput, { id, raw }: Cluster): string | undefined {
  const path: KeyPath = ["clusters", id, "epmd"];
  if (isUnresolved([...path, "host"]) || isUnresolved([...path, "port"])) return undefined;
  const host = get(raw, "epmd", "host") ?? "127.0.0.1";
  const given = get(raw, "epmd", "port");
  const port = given === undefined ? epmdPort : number(given);
  if (typeof host !== "string" || port === undefined) return undefined;
  return `${isLoopback(host) ? "127.0.0.1" : host}:${port}`;
}

/** Whether `host` is this machine by its loopback. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** Whether two listeners share an address. */
function meet(a: unknown, b: unknown): boolean {
  const [one, other] = [a, b].map((raw) => get(raw, "listen", "host") ?? "0.0.0.0");
  return one === other || [one, other].some((host) => host === "0.0.0.0" || host === "::");
}

function alive(node: string): string {
  return parseNodeName(node).name;
}

function isLong(node: string): boolean {
  return isLongHost(parseNodeName(node).host);
}

/** The node names in a value, one or a list. */
function names(input: MeaningInput, value: unknown, path: KeyPath): Place[] {
  return texts(input, value, path).filter(({ text }) => isNodeName(text));
}

/** The texts in a value, one or a list, that are known. */
function texts(input: MeaningInput, value: unknown, path: KeyPath): Place[] {
  if (Array.isArray(value)) return value.flatMap((item, i) => texts(input, item, [...path, i]));
  return typeof value === "string" && !input.isUnresolved(path) ? [{ text: value, path, on: "value" }] : [];
}

/** What is at the end of `keys`; undefined when there is no such place. */
function get(value: unknown, ...keys: readonly string[]): unknown {
  let found = value;
  for (const key of keys) {
    if (!isRecord(found) || !Object.hasOwn(found, key)) return undefined;
    found = found[key];
  }
  return found;
}

function record(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

function number(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  return typeof value === "string" && /^\d+$/.test(value) ? Number(value) : undefined;
}

function flag(value: unknown): boolean | undefined {
  return value === true || value === "true" ? true : value === false || value === "false" ? false : undefined;
}
