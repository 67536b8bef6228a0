import type { StrategyContext } from "../contract.ts";
import { coded, strategiesError } from "../errors.ts";
import { inParallel } from "../in-parallel.ts";

/** How many hosts are asked at the same time. */
export const PARALLEL_HOSTS = 64;

/** Asks one host. @returns full node names */
export type AskHost = (host: string, signal: AbortSignal) => Promise<readonly string[]>;

/** Asks hosts for their nodes, and remembers what each said last. */
export class HostsRound {
  readonly #logger: StrategyContext["logger"];
  readonly #ask: AskHost;
  readonly #known = new Map<string, readonly string[]>();
  /** Code of the error of each host that could not be asked last time. */
  readonly #failing = new Map<string, string>();

  constructor(logger: StrategyContext["logger"], ask: AskHost) {
    this.#logger = logger;
    this.#ask = ask;
  }

  /**
   * Asks each of these hosts, and forgets all others. For a host that cannot be asked its last answer stands.
   * @throws IsthmusError `DISCOVERY_FAILED` when no host can be asked
   */
  async run(hosts: readonly string[], signal: AbortSignal): Promise<string[]> {
    for (const host of [...this.#known.keys(), ...this.#failing.keys()]) {
      if (hosts.includes(host)) continue;
      this.#known.delete(host);
      this.#failing.delete(host);
    }
    const errors: unknown[] = [];
    await inParallel(hosts, PARALLEL_HOSTS, async (host) => {
      try {
        this.#answered(host, await this.#ask(host, signal));
      } catch (error) {
        errors.push(error);
        this.#failed(host, error);
      }
    });
    if (hosts.length > 0 && errors.length === hosts.length) {
      const first = coded(errors[0], "DISCOVERY_FAILED", "It could not be asked.");
      const message = `None of ${hosts.length} hosts could be asked for its nodes. One of them: ${first.message}`;
      throw strategiesError("DISCOVERY_FAILED", message, { cause: first, context: { hosts: hosts.length } });
    }
    return hosts.flatMap((host) => this.#known.get(host) ?? []);
  }

  #answered(host: string, nodes: readonly string[]): void {
    if (this.#failing.delete(host))
      this.#logger.info({ host }, "erlang-hosts: the host's epmd answers again");
    this.#known.set(host, nodes);
  }

  #failed(host: string, cause: unknown): void {
    const { code, message } = coded(cause, "DISCOVERY_FAILED", "It could not be asked.");
    const level = this.#failing.get(host) === code ? "debug" : "warn";
    this.#failing.set(host, code);
    const nodes = this.#known.get(host)?.length ?? 0;
    this.#logger[level]({ host, code, nodes }, `erlang-hosts: the nodes known there stay: ${message}`);
  }
}
