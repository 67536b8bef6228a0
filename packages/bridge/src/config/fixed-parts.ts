import { createHash, randomBytes } from "node:crypto";
import type { Cookie } from "@isthmus/dist-handshake";
import type { OwnClusterOptions } from "../options.ts";
import { isRecord } from "./schema-parts.ts";

/** Digests are for comparison within one run only: they tell nothing about a cookie. */
const SALT = randomBytes(32);

/**
 * Digests of what a running bridge cannot take over: all of a cluster but the nodes to connect to, the log, and
 * the state file.
 * @returns by the key in the file, such as `clusters.shop.listen`
 */
export function fixedParts(
  given: Readonly<Record<string, unknown>>,
  clusters: Readonly<Record<string, OwnClusterOptions>>,
  { log, state }: { readonly log: unknown; readonly state: unknown },
  epmdPort: number,
): ReadonlyMap<string, string> {
  const parts = new Map<string, string>([
    ["log", digest(log)],
    ["state_file", digest(state)],
  ]);
  for (const [id, raw] of Object.entries(given)) {
    if (!isRecord(raw)) continue;
    const key = `clusters.${id}`;
    const discovery = isRecord(raw["discovery"]) ? raw["discovery"] : {};
    const { hosts: _hosts, ...fixed } = discovery;
    parts.set(key, digest(true));
    parts.set(`${key}.node`, digest(raw["node"]));
    parts.set(`${key}.cookie`, digest(undefined, clusters[id]?.cookie as Cookie | undefined));
    parts.set(`${key}.listen`, digest(raw["listen"]));
    parts.set(`${key}.epmd`, digest([raw["epmd"], epmdPort]));
    parts.set(`${key}.discovery`, digest(fixed));
    parts.set(`${key}.tick_time`, digest(raw["tick_time"]));
  }
  return parts;
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
