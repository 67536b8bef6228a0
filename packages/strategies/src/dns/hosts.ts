import type { Clock, Logger } from "@isthmus/wire";
import { coded, strategiesError } from "../errors.ts";
import { inParallel } from "../in-parallel.ts";
import {
  type DnsAnswer,
  type DnsRecord,
  type DnsRecordType,
  type DnsResolver,
  dnsFailure,
} from "./resolver.ts";

/** A function in place of a resolver, as libcluster's `resolver`: gives the hosts of a name. */
export type HostsFunction = (
  name: string,
  query: { readonly types: readonly DnsRecordType[]; readonly signal: AbortSignal },
) => readonly string[] | Promise<readonly string[]>;

/** A name that stands for hosts. */
export interface HostSource {
  readonly name: string;
  readonly types: readonly DnsRecordType[];
  readonly search: boolean;
  /** Whether a SRV record means its target's name, or its target's addresses. */
  readonly srv: "name" | "addresses";
}

/** The hosts of each source, in the order of the sources. */
export interface FoundHosts {
  readonly hosts: readonly (readonly string[])[];
  /** The shortest time that one of the answers holds. */
  readonly ttlMs: number | undefined;
}

/** How a {@link HostFinder} goes about it. */
export interface HostFinderOptions {
  readonly lookup: DnsResolver | HostsFunction;
  /** Whether a name without records means no hosts, instead of a failure. */
  readonly emptyIsValid: boolean;
  /** As libcluster: every failure means no hosts. */
  readonly compat: boolean;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** What one question gave. */
type Reply =
  | { readonly kind: "found"; readonly hosts: readonly string[]; readonly ttlMs: number | undefined }
  | { readonly kind: "none"; readonly outcome: "nodata" | "nxdomain"; readonly ttlMs: number | undefined }
  | { readonly kind: "failed"; readonly error: Error };

/** A question, and what it gave now. */
interface Asked {
  readonly key: string;
  readonly reply: Reply;
}

/** Target names that are resolved at once. */
const PARALLEL = 16;
/** A source has that long, so that a round with several of them ends in time though one is silent. */
const SOURCE_TIMEOUT_MS = 10_000;

/**
 * Asks for the hosts of names. A question that fails counts as answered with what it gave last, so that the trouble
 * of one name neither shortens the list nor hides what the others say.
 */
export class HostFinder {
  readonly #options: HostFinderOptions;
  readonly #lastGood = new Map<string, readonly string[]>();
  #trouble = "";

  constructor(options: HostFinderOptions) {
    this.#options = options;
  }

  /** @throws IsthmusError `DISCOVERY_FAILED` when nothing could be found out about any source */
  async find(sources: readonly HostSource[], signal: AbortSignal): Promise<FoundHosts> {
    const asked = await Promise.all(sources.map((source) => this.#ask(source, signal)));
    signal.throwIfAborted();
    const verdicts = sources.map((source, i) => this.#judge(source, asked[i]!));
    const failures = verdicts.flatMap(({ failure }) => failure ?? []);
    const [first] = failures;
    if (first !== undefined && !verdicts.some(({ known }) => known)) throw first;
    this.#warn(failures);
    const ttls = asked.flat().flatMap(({ reply }) => (reply.kind === "failed" ? [] : (reply.ttlMs ?? [])));
    return {
      hosts: verdicts.map(({ hosts }) => hosts),
      ttlMs: ttls.length > 0 ? Math.min(...ttls) : undefined,
    };
  }

  /** What a source's answers mean: its hosts, whether anything is known of it now, and what went wrong. */
  #judge(
    { name, types }: HostSource,
    asked: readonly Asked[],
  ): { readonly hosts: readonly string[]; readonly known: boolean; readonly failure?: Error } {
    const { emptyIsValid, compat } = this.#options;
    const found = asked.flatMap(({ reply }) => (reply.kind === "found" ? reply.hosts : []));
    const failed = asked.flatMap(({ reply }) => (reply.kind === "failed" ? reply.error : []));
    const [failure] = failed;
    if (compat) return { hosts: found, known: true, ...(failure && { failure }) };
    const empty = found.length === 0 && failure === undefined;
    const doubtful = failure !== undefined || (empty && !emptyIsValid);
    for (const { key, reply } of asked) {
      if (reply.kind === "found") this.#lastGood.set(key, reply.hosts);
      else if (!doubtful) this.#lastGood.delete(key);
    }
    // what was asked now stands already among the last good
    const hosts = asked.flatMap(({ key }) => this.#lastGood.get(key) ?? []);
    if (failure !== undefined) return { hosts, known: found.length > 0, failure };
    return empty && !emptyIsValid
      ? { hosts, known: false, failure: noHosts(name, types, asked) }
      : { hosts, known: true };
  }

  async #ask(source: HostSource, signal: AbortSignal): Promise<readonly Asked[]> {
    const { lookup, clock } = this.#options;
    const late = new AbortController();
    const timer = clock.after(SOURCE_TIMEOUT_MS, () => {
      const [type] = source.types;
      const what = `there was no answer within ${SOURCE_TIMEOUT_MS} ms`;
      late.abort(dnsFailure({ name: source.name, type: type! }, "timeout", what));
    });
    // the round may end before the questions do
    signal.addEventListener("abort", () => timer.cancel(), { once: true });
    const both = AbortSignal.any([signal, late.signal]);
    try {
      if (typeof lookup === "function") {
        return [{ key: source.name, reply: await attempt(() => callFunction(lookup, source, both)) }];
      }
      const questions = source.types.map(async (type) => ({
        key: `${type} ${source.name}`,
        reply: await attempt(() => question(lookup, source, type, both)),
      }));
      return await Promise.all(questions);
    } finally {
      timer.cancel();
    }
  }

  /** Says what failed though the round did not: once, and again when it is something else. */
  #warn(failures: readonly Error[]): void {
    const trouble = failures.map(({ message }) => message).join(" ");
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    if (trouble !== "") this.#options.logger.warn({}, `discovery knows only a part: ${trouble}`);
    else this.#options.logger.info({}, "discovery knows everything again");
  }
}

/** What `work` gives; a rejection becomes a reply. */
async function attempt(work: () => Promise<Reply>): Promise<Reply> {
  try {
    return await work();
  } catch (cause) {
    return { kind: "failed", error: coded(cause, "DISCOVERY_FAILED", "The resolver function failed.") };
  }
}

async function callFunction(lookup: HostsFunction, source: HostSource, signal: AbortSignal): Promise<Reply> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  // the function may not heed its signal
  const hosts: unknown = await Promise.race([lookup(source.name, { types: source.types, signal }), aborted]);
  if (!Array.isArray(hosts) || hosts.some((host) => typeof host !== "string")) {
    const message = `The resolver function must give a list of hosts for ${source.name}, each of it text.`;
    throw strategiesError("DISCOVERY_FAILED", message, { context: { name: source.name } });
  }
  return hosts.length > 0
    ? { kind: "found", hosts, ttlMs: undefined }
    : { kind: "none", outcome: "nodata", ttlMs: undefined };
}

async function question(
  resolver: DnsResolver,
  { name, search, srv }: HostSource,
  type: DnsRecordType,
  signal: AbortSignal,
): Promise<Reply> {
  const answer = await resolver.resolve({ name, type, search, signal });
  if (answer.outcome !== "found") return { kind: "none", outcome: answer.outcome, ttlMs: answer.ttlMs };
  const hosts = [...new Set(answer.records.map(hostOf))];
  if (type !== "SRV" || srv === "name") return { kind: "found", hosts, ttlMs: answer.ttlMs };
  const resolved = await inParallel(hosts, PARALLEL, (target) => addresses(resolver, target, signal));
  const ttls = [answer, ...resolved].flatMap(({ ttlMs }) => ttlMs ?? []);
  const ttlMs = ttls.length > 0 ? Math.min(...ttls) : undefined;
  const all = [...new Set(resolved.flatMap(({ records }) => records.map(hostOf)))];
  return all.length > 0 ? { kind: "found", hosts: all, ttlMs } : { kind: "none", outcome: "nodata", ttlMs };
}

/** The addresses of a SRV record's target: IPv4, and IPv6 only if there are none. */
async function addresses(resolver: DnsResolver, name: string, signal: AbortSignal): Promise<DnsAnswer> {
  const query = { name: `${name}.`, search: false, signal };
  const answer = await resolver.resolve({ ...query, type: "A" });
  return answer.outcome === "nodata" ? resolver.resolve({ ...query, type: "AAAA" }) : answer;
}

function hostOf(record: DnsRecord): string {
  return record.type === "SRV" ? record.target : record.address;
}

function noHosts(name: string, types: readonly DnsRecordType[], asked: readonly Asked[]): Error {
  const nodata = asked.some(({ reply }) => reply.kind === "none" && reply.outcome === "nodata");
  const what = nodata ? `has no ${types.join(" or ")} records` : "does not exist";
  const advice = "The nodes found last are kept; set empty_is_valid if that means that there are none.";
  return strategiesError("DISCOVERY_FAILED", `The name ${name} ${what}. ${advice}`, {
    context: { name, reason: nodata ? "nodata" : "nxdomain" },
  });
}
