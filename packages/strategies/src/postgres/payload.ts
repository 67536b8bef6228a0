import { isNodeName } from "@isthmus/wire";

/**
 * The texts that are sent, by whose they are: `name` is supabase's libcluster_postgres, `heartbeat` firezone's
 * strategy, `heartbeat_double` kevbuchanan's libcluster_postgres. All are understood, whichever is sent.
 */
export const PAYLOAD_FORMATS = ["name", "heartbeat", "heartbeat_double"] as const;

/** One of {@link PAYLOAD_FORMATS}. */
export type PayloadFormat = (typeof PAYLOAD_FORMATS)[number];

/** What a node says of itself. */
export interface Announcement {
  readonly type: "alive" | "goodbye";
  readonly node: string;
}

const PREFIXES = [
  ["heartbeat::", "alive"],
  ["heartbeat:", "alive"],
  ["goodbye:", "goodbye"],
] as const;

/** @returns undefined for what is none of the known forms, or names no possible node */
export function parsePayload(payload: string): Announcement | undefined {
  const [prefix, type] = PREFIXES.find(([start]) => payload.startsWith(start)) ?? ["", "alive"];
  const node = payload.slice(prefix.length);
  return isNodeName(node) ? { type, node } : undefined;
}

/** The sign of life of `node`. */
export function heartbeat(format: PayloadFormat, node: string): string {
  if (format === "name") return node;
  return format === "heartbeat" ? `heartbeat:${node}` : `heartbeat::${node}`;
}

/**
 * The last words of `node`; undefined where nobody would understand them: supabase's nodes would take them for the name
 * of a node, kevbuchanan's for nothing.
 */
export function goodbye(format: PayloadFormat, node: string): string | undefined {
  return format === "heartbeat" ? `goodbye:${node}` : undefined;
}
