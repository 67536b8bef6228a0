import { isIPv4, isIPv6 } from "node:net";

/**
 * An address as text, from text or from the four numbers that Erlang writes as a tuple. Undefined for anything else,
 * names included.
 */
export function address(value: unknown): string | undefined {
  if (Array.isArray(value)) return address(value.length === 4 ? value.join(".") : undefined);
  if (typeof value !== "string") return undefined;
  return isIPv4(value) || isIPv6(value) ? value : undefined;
}

/** Whether packets to this address go to whoever joined it: 224.0.0.0/4, ff00::/8. */
export function isMulticast(text: string): boolean {
  if (isIPv6(text)) return /^ff/i.test(text);
  const first = Number(text.split(".")[0]);
  return first >= 224 && first <= 239;
}
