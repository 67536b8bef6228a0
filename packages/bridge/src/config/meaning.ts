import { isLongHost, isNodeName, parseNodeName } from "@isthmus/wire";
import { checkCrossings } from "./crossing-meaning.ts";
import {
  type Cluster,
  checkName,
  clustersOf,
  flag,
  get,
  type MeaningInput,
  names,
  number,
  type Place,
  record,
  texts,
} from "./places.ts";
import { checkPolicy } from "./policy-meaning.ts";
import type { KeyPath } from "./problem.ts";
import { checkSites } from "./site-meaning.ts";

/**
 * Finds what is wrong between the parts of a file, each of which may be wrong in itself: those that are not what they
 * should be are passed over, since somebody else tells about them.
 */
export function checkMeaning(input: MeaningInput): void {
  const clusters = clustersOf(input);
  if (clusters.length < 2) {
    input.add(["clusters"], "must have at least two clusters: the bridge is between them.", "key");
  } else if (clusters.every(({ far }) => far)) {
    input.add(["clusters"], "must have at least one cluster of this site.", "key");
  }
  for (const cluster of clusters) if (!cluster.far) checkNames(input, cluster);
  checkClashes(input, clusters);
  checkSites(input, clusters);
  checkCrossings(input, clusters);
  const ids = clusters.map(({ id }) => id);
  input.policy.forEach((rule, i) => {
    for (const side of ["from", "to"])
      for (const place of texts(input, get(rule, side), ["policy", i, side])) checkName(input, ids, place);
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
    }
  });
  checkPorts(input, clusters);
}

/** Everything that listens has a port of its own. */
function checkPorts({ add, trunk, admin }: MeaningInput, clusters: readonly Cluster[]): void {
  const listeners = [
    ...clusters.map(({ id, raw }) => ({ owner: id, at: get(raw, "listen"), path: ["clusters", id] })),
    { owner: "the trunk", at: get(trunk, "listen"), path: ["trunk"] },
    { owner: "the administration", at: get(admin, "listen"), path: ["admin"] },
  ];
  listeners.forEach(({ at, path }, i) => {
    const port = number(get(at, "port"));
    if (port === undefined || port === 0) return;
    for (const other of listeners.slice(0, i)) {
      if (port === number(get(other.at, "port")) && meet(at, other.at))
        add(
          [...path, "listen", "port"],
          `is the port of ${other.owner} too; give each its own, or 0 for any.`,
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
  const [one, other] = [a, b].map((listen) => get(listen, "host") ?? "0.0.0.0");
  return one === other || [one, other].some((host) => host === "0.0.0.0" || host === "::");
}

function alive(node: string): string {
  return parseNodeName(node).name;
}

function isLong(node: string): boolean {
  return isLongHost(parseNodeName(node).host);
}
