import type { Clock } from "@isthmus/wire";
import { strategiesError } from "../errors.ts";
import { option } from "../options.ts";
import { isDomainName } from "./domain-name.ts";
import type { HostsFunction } from "./hosts.ts";
import type { DnsRecordType, DnsResolver } from "./resolver.ts";
import { readServerAddress } from "./server-address.ts";
import { systemResolver } from "./system-resolver.ts";
import { DEFAULT_EDNS_SIZE, wireResolver } from "./wire-resolver.ts";

/** Who resolves: our own resolver, that of Node.js, or a function. */
export type ResolverChoice = "wire" | "system" | HostsFunction;

const serverAddress = option.any<string>("an IP address such as 10.0.0.10:53 or [fd00::10]:53", (value) =>
  typeof value === "string" && readServerAddress(value) !== undefined ? value : undefined,
);

/** A name that can be asked for. */
export const domainName = option.any<string>("a domain name", (value) =>
  typeof value === "string" && isDomainName(value) ? value : undefined,
);

/** The options that every strategy has which asks the domain name system. */
export const DNS_OPTIONS = {
  pollingInterval: option.milliseconds({ default: 5000, min: 100, aliases: ["poll_interval", "interval"] }),
  resolver: option.any(
    "wire, system, or a function that gives hosts",
    (value): ResolverChoice | undefined =>
      value === "wire" || value === "system" || typeof value === "function"
        ? (value as ResolverChoice)
        : undefined,
    { default: "wire" },
  ),
  servers: option.optional(option.list(serverAddress)),
  timeout: option.optional(option.milliseconds({ max: 10_000 })),
  attempts: option.optional(option.integer({ min: 1, max: 5 })),
  ednsSize: option.any(
    "0, or a whole number from 512 to 4096",
    (value): number | undefined => {
      const size = typeof value === "string" ? Number(value) : value;
      const valid =
        typeof size === "number" && Number.isInteger(size) && (size === 0 || (size >= 512 && size <= 4096));
      return valid ? size : undefined;
    },
    { default: DEFAULT_EDNS_SIZE },
  ),
  emptyIsValid: option.boolean({ default: false }),
  ttlDriven: option.boolean({ default: false }),
  minTtl: option.milliseconds({ default: 1000 }),
};

/** What {@link DNS_OPTIONS} give. */
export interface DnsOptions {
  readonly pollingInterval: number;
  readonly resolver: ResolverChoice;
  readonly servers: readonly string[] | undefined;
  readonly timeout: number | undefined;
  readonly attempts: number | undefined;
  readonly ednsSize: number;
  readonly emptyIsValid: boolean;
  readonly ttlDriven: boolean;
  readonly minTtl: number;
}

/** The types of records to ask for; `choice` and `fallback` in lower case or Elixir's atoms. */
export function recordTypes<const W extends "a" | "aaaa" | "srv">(
  choice: readonly W[],
  fallback: readonly W[],
) {
  return option.list(option.oneOf(choice), { default: fallback, aliases: [] });
}

/** `a` as `A`. @throws IsthmusError `STRATEGY_OPTIONS_INVALID` when there is none */
export function upperTypes(strategy: string, words: readonly string[]): readonly DnsRecordType[] {
  if (words.length > 0) return [...new Set(words)].map((word) => word.toUpperCase() as DnsRecordType);
  const message = `resource_types of ${strategy} must not be empty.`;
  throw strategiesError("STRATEGY_OPTIONS_INVALID", message, { context: { strategy } });
}

/** The resolver that the options ask for, or their function. */
export function chooseResolver(options: DnsOptions, clock: Clock): DnsResolver | HostsFunction {
  const { resolver, timeout: timeoutMs, attempts, ednsSize } = options;
  if (typeof resolver === "function") return resolver;
  const servers = options.servers?.flatMap((text) => readServerAddress(text) ?? []);
  return resolver === "system"
    ? systemResolver({ servers, timeoutMs, attempts })
    : wireResolver({ servers, timeoutMs, attempts, ednsSize, clock });
}
