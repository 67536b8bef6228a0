import { type Clock, systemClock } from "@isthmus/wire";
import { NO_SEARCH, searchNames } from "./domain-name.ts";
import { askTcp, askUdp, type Exchange } from "./exchange.ts";
import { MAX_ALIASES, type QueryMessage, queryMessage } from "./message.ts";
import { ResolvConfFile } from "./resolv-conf.ts";
import {
  type DnsAnswer,
  type DnsFailureReason,
  type DnsQuery,
  type DnsResolver,
  dnsFailure,
} from "./resolver.ts";
import { type ServerAddress, writeServerAddress } from "./server-address.ts";

/** Options of {@link wireResolver}. */
export interface WireResolverOptions {
  /** The servers to ask, in turn. @default those of `resolv.conf` */
  readonly servers?: readonly ServerAddress[] | undefined;
  /** Milliseconds that a server has to answer. @default what `resolv.conf` says, else 2000 */
  readonly timeoutMs?: number | undefined;
  /** How often a server that stays silent is asked. @default what `resolv.conf` says, else 3 */
  readonly attempts?: number | undefined;
  /** Longest answer over UDP, announced with EDNS; 0 for no EDNS (then 512 bytes). @default 1232 */
  readonly ednsSize?: number | undefined;
  /** @default "/etc/resolv.conf" */
  readonly resolvConf?: string | undefined;
  readonly clock?: Clock | undefined;
}

const DEFAULT_TIMEOUT_MS = 2000;
const DEFAULT_ATTEMPTS = 3;
/** What is not fragmented on any usual path (DNS flag day 2020). */
export const DEFAULT_EDNS_SIZE = 1232;

type Reply = Extract<Exchange, { readonly kind: "found" | "nodata" | "nxdomain" | "alias" }>;
type Refusal = Exclude<Exchange, Reply>;

/**
 * A resolver that asks name servers itself: over UDP, over TCP what does not fit; the next server when one is of no
 * use; aliases to their end. It keeps nothing: every answer is fresh.
 */
export function wireResolver(options: WireResolverOptions = {}): DnsResolver {
  return new WireResolver(options);
}

/** How one question is asked. */
interface Course {
  readonly servers: readonly ServerAddress[];
  readonly timeoutMs: number;
  readonly attempts: number;
  readonly query: DnsQuery;
}

class WireResolver implements DnsResolver {
  readonly #options: WireResolverOptions;
  readonly #conf: ResolvConfFile;
  readonly #clock: Clock;
  readonly #ednsSize: number;

  constructor(options: WireResolverOptions) {
    this.#options = options;
    this.#conf = new ResolvConfFile(options.resolvConf ?? "/etc/resolv.conf");
    this.#clock = options.clock ?? systemClock;
    this.#ednsSize = options.ednsSize ?? DEFAULT_EDNS_SIZE;
  }

  async resolve(query: DnsQuery): Promise<DnsAnswer> {
    const given = this.#options;
    const conf = given.servers === undefined || query.search ? await this.#conf.read() : undefined;
    const servers = given.servers ?? conf?.servers ?? [];
    if (servers.length === 0) throw dnsFailure(query, "unreachable", "no name server is known");
    const course: Course = {
      servers,
      timeoutMs: given.timeoutMs ?? conf?.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      attempts: given.attempts ?? conf?.attempts ?? DEFAULT_ATTEMPTS,
      query,
    };
    const names = searchNames(query.name, conf !== undefined && query.search ? conf : NO_SEARCH);
    return firstFound(names, (name) => this.#follow(name, course));
  }

  /** Asks for `name`, and for what it is an alias of when the server leaves that to us. */
  async #follow(name: string, course: Course): Promise<DnsAnswer> {
    const { query } = course;
    let ttl = Number.POSITIVE_INFINITY;
    let asked = name;
    for (let hops = 0; hops <= MAX_ALIASES; ) {
      const reply = await this.#ask(asked, course);
      if (reply.kind !== "alias") return answerOf(reply, ttl);
      ttl = Math.min(ttl, reply.ttl);
      hops += reply.hops;
      asked = reply.target;
    }
    throw dnsFailure(query, "alias_loop", `more than ${MAX_ALIASES} aliases follow each other`);
  }

  /** Asks server after server; those that stay silent again, in the next rounds. */
  async #ask(name: string, course: Course): Promise<Reply> {
    const { attempts, query } = course;
    const said = new Map<ServerAddress, Refusal>();
    let left = course.servers;
    for (let attempt = 0; attempt < attempts && left.length > 0; attempt++) {
      for (const server of left) {
        const outcome = await this.#askServer(server, name, course);
        if (isReply(outcome)) return outcome;
        said.set(server, outcome);
      }
      left = left.filter((server) => said.get(server)?.kind === "silent");
    }
    const reasons = [...said].map(
      ([server, refusal]) => `${writeServerAddress(server)} ${sentence(refusal, course)}`,
    );
    const last = [...said.values()].at(-1)!;
    const cause = last.kind === "unreachable" ? last.cause : undefined;
    throw dnsFailure({ name, type: query.type }, reasonOf(last), reasons.join("; "), cause);
  }

  async #askServer(server: ServerAddress, name: string, course: Course): Promise<Exchange> {
    const { type } = course.query;
    const first = await this.#exchange(server, queryMessage(name, type, this.#ednsSize), course);
    // servers from before 1999 do not know EDNS (RFC 6891 section 7)
    const plain = first.kind === "error" && ["FORMERR", "NOTIMP"].includes(first.rcode) && this.#ednsSize > 0;
    return plain ? this.#exchange(server, queryMessage(name, type, 0), course) : first;
  }

  async #exchange(
    server: ServerAddress,
    message: QueryMessage,
    { timeoutMs, query }: Course,
  ): Promise<Exchange> {
    const options = { timeoutMs, clock: this.#clock, signal: query.signal };
    const reply = await askUdp(server, message, options);
    return reply.kind === "truncated" ? askTcp(server, message, options) : reply;
  }
}

/**
 * The first positive answer for the names in turn. When there is none: the first failure, since a name that could not
 * be asked for may be the right one; else `nodata` if any is that.
 */
export async function firstFound(
  names: readonly string[],
  ask: (name: string) => Promise<DnsAnswer>,
): Promise<DnsAnswer> {
  const failures: unknown[] = [];
  const negative: DnsAnswer[] = [];
  for (const name of names) {
    try {
      const answer = await ask(name);
      if (answer.outcome === "found") return answer;
      negative.push(answer);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return negative.find(({ outcome }) => outcome === "nodata") ?? negative[0]!;
}

function isReply(outcome: Exchange): outcome is Reply {
  return ["found", "nodata", "nxdomain", "alias"].includes(outcome.kind);
}

function answerOf(reply: Exclude<Reply, { readonly kind: "alias" }>, aliasTtl: number): DnsAnswer {
  const ttlMs = reply.ttl === undefined ? undefined : Math.min(reply.ttl, aliasTtl) * 1000;
  return { outcome: reply.kind, records: reply.kind === "found" ? reply.records : [], ttlMs };
}

function sentence(refusal: Refusal, { timeoutMs, attempts }: Course): string {
  switch (refusal.kind) {
    case "silent": {
      const ignored =
        refusal.ignored === 0 ? "" : ` (${refusal.ignored} messages were not answers to the query)`;
      return `did not answer within ${timeoutMs} ms, ${attempts} times${ignored}`;
    }
    case "unreachable":
      return `cannot be reached (${(refusal.cause as NodeJS.ErrnoException).code ?? refusal.cause.message})`;
    case "error":
      return `answered ${refusal.rcode}`;
    case "referral":
      return "named other servers instead of answering: it does not resolve names for others";
    case "alias_loop":
      return "gave aliases that lead nowhere";
    case "truncated":
    case "invalid":
      return "gave something over TCP that is not an answer";
  }
}

function reasonOf(refusal: Refusal): DnsFailureReason {
  switch (refusal.kind) {
    case "silent":
      return "timeout";
    case "error":
      if (refusal.rcode === "SERVFAIL") return "servfail";
      return refusal.rcode === "REFUSED" ? "refused" : "other";
    case "truncated":
      return "invalid";
    default:
      return refusal.kind;
  }
}
