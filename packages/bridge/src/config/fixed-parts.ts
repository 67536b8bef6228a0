import { createHash, randomBytes } from "node:crypto";
import type { Cookie } from "@isthmus/dist-handshake";
import type { ClusterOptions } from "../options.ts";
import { isFarInput } from "./cluster-schema.ts";
import { isRecord } from "./schema-parts.ts";

/** What {@link fixedParts} looks at. */
export interface FixedPartsInput {
  /** The file. */
  readonly given: Readonly<Record<string, unknown>>;
  readonly clusters: Readonly<Record<string, ClusterOptions>>;
  /** What counts with its defaults, by key. */
  readonly parts: Readonly<Record<string, unknown>>;
  /** What was in other files, by the key that names them. */
  readonly contents: ReadonlyMap<string, Buffer>;
  readonly epmdPort: number;
}

/** Digests are for comparison within one run only: they tell nothing about a secret. */
const SALT = randomBytes(32);

/** Keys of a cluster that are compared as they are. */
const CLUSTER_KEYS = ["site", "joins", "as", "node", "listen", "tls", "tick_time", "narrow"];

/**
 * Digests of what a running bridge cannot take over: all of a cluster but the nodes to connect to, the trunk, the lease,
 * the log, the administration, and the state file.
 * @returns by the key in the file, such as `clusters.shop.listen`
 */
export function fixedParts({
  given,
  clusters,
  parts,
  contents,
  epmdPort,
}: FixedPartsInput): ReadonlyMap<string, string> {
  /** What is in the files that are named at `key` or within it. */
  const within = (key: string): unknown =>
    Array.from(contents, ([at, content]) =>
      at === key || at.startsWith(`${key}.`) ? [at, content.toString("base64")] : [],
    );
  const found = new Map(Object.entries(parts).map(([key, value]) => [key, digest(value)]));
  for (const key of ["trunk", "high_availability"]) found.set(key, digest([given[key], within(key)]));
  for (const [id, raw] of Object.entries(isRecord(given["clusters"]) ? given["clusters"] : {})) {
    if (!isRecord(raw)) continue;
    const key = `clusters.${id}`;
    const discovery = isRecord(raw["discovery"]) ? raw["discovery"] : {};
    const { hosts: _hosts, ...fixed } = discovery;
    const cluster = clusters[id];
    found.set(key, digest(isFarInput(raw)));
    for (const one of CLUSTER_KEYS) found.set(`${key}.${one}`, digest([raw[one], within(`${key}.${one}`)]));
    const cookie = cluster !== undefined && "cookie" in cluster ? (cluster.cookie as Cookie) : undefined;
    found.set(`${key}.cookie`, digest(undefined, cookie));
    found.set(`${key}.epmd`, digest([raw["epmd"], epmdPort]));
    found.set(`${key}.discovery`, digest(fixed));
  }
  return found;
}

/** The keys that differ, a cluster that came or went by its own key alone. */
export function changedParts(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): string[] {
  const keys = [...new Set([...before.keys(), ...after.keys()])];
  const changed = keys.filter((key) => before.get(key) !== after.get(key));
  return changed.filter((key) => !changed.some((other) => key.startsWith(`${other}.`)));
}

function digest(value: unknown, cookie?: Cookie): string {
  const hash = createHash("sha256").update(SALT).update(canonical(value));
  cookie?.addTo(hash);
  return hash.digest("base64");
}

/** As JSON, whatever the order of keys. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (!isRecord(value)) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join()}}`;
}
