import { promises } from "node:dns";
import { canonicalAddress } from "../node-names.ts";
import { isDomainName, NO_SEARCH, searchNames, withoutFinalDot } from "./domain-name.ts";
import { ResolvConfFile } from "./resolv-conf.ts";
import {
  type DnsAnswer,
  type DnsFailureReason,
  type DnsQuery,
  type DnsRecord,
  type DnsResolver,
  dnsFailure,
} from "./resolver.ts";
import { type ServerAddress, writeServerAddress } from "./server-address.ts";
import { firstFound } from "./wire-resolver.ts";

/** Options of {@link systemResolver}. */
export interface SystemResolverOptions {
  /** The servers to ask. @default those that the system has */
  readonly servers?: readonly ServerAddress[] | undefined;
  /** Milliseconds for the first try; each further one takes longer. @default 2000 */
  readonly timeoutMs?: number | undefined;
  /** @default 3 */
  readonly attempts?: number | undefined;
  /** Where the search list is. @default "/etc/resolv.conf" */
  readonly resolvConf?: string | undefined;
}

const NEGATIVE: Readonly<Record<string, "nodata" | "nxdomain">> = {
  [promises.NODATA]: "nodata",
  [promises.NOTFOUND]: "nxdomain",
};

const REASONS: Readonly<Record<string, DnsFailureReason>> = {
  [promises.SERVFAIL]: "servfail",
  [promises.REFUSED]: "refused",
  [promises.TIMEOUT]: "timeout",
  [promises.CONNREFUSED]: "unreachable",
  [promises.BADRESP]: "invalid",
};

/**
 * The resolver of Node.js (`node:dns`), for systems whose servers are not in a `resolv.conf`. It gives no TTL for SRV
 * records and negative answers.
 */
export function systemResolver(options: SystemResolverOptions = {}): DnsResolver {
  const { servers, timeoutMs = 2000, attempts = 3, resolvConf = "/etc/resolv.conf" } = options;
  const conf = new ResolvConfFile(resolvConf);
  return {
    async resolve(query) {
      const list = query.search ? await conf.read() : NO_SEARCH;
      return firstFound(searchNames(query.name, list), async (name) => {
        query.signal.throwIfAborted();
        // one of its own for each question: `cancel` ends all that a resolver has begun
        const resolver = new promises.Resolver({ timeout: timeoutMs, tries: attempts });
        if (servers !== undefined) resolver.setServers(servers.map(writeServerAddress));
        return ask(resolver, { ...query, name });
      });
    },
  };
}

async function ask(resolver: promises.Resolver, query: DnsQuery): Promise<DnsAnswer> {
  const { signal } = query;
  const cancel = (): void => resolver.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  try {
    return await positive(resolver, query);
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    const code = String((cause as NodeJS.ErrnoException).code);
    const outcome = NEGATIVE[code];
    if (outcome !== undefined) return { outcome, records: [], ttlMs: undefined };
    throw dnsFailure(query, REASONS[code] ?? "other", `the resolver of the system says ${code}`, cause);
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

async function positive(resolver: promises.Resolver, { name, type }: DnsQuery): Promise<DnsAnswer> {
  if (type === "SRV") {
    const found = await resolver.resolveSrv(name);
    const records = found
      .filter((one) => isDomainName(one.name))
      .map(
        ({ name: target, port, priority, weight }): DnsRecord => ({
          type,
          target: withoutFinalDot(target),
          port,
          priority,
          weight,
        }),
      );
    return { outcome: records.length > 0 ? "found" : "nodata", records, ttlMs: undefined };
  }
  const found = await (type === "A"
    ? resolver.resolve4(name, { ttl: true })
    : resolver.resolve6(name, { ttl: true }));
  const records = found.map(({ address }): DnsRecord => ({ type, address: canonicalAddress(address) }));
  return { outcome: "found", records, ttlMs: Math.min(...found.map(({ ttl }) => ttl)) * 1000 };
}
