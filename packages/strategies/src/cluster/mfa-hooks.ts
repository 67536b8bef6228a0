import { Atom, atom, inspectTerm, type Term } from "@isthmus/etf";
import { type IsthmusError, type Logger, silentLogger } from "@isthmus/wire";
import type { ClusterHooks } from "../contract.ts";
import { coded, strategiesError } from "../errors.ts";

/**
 * A function of a BEAM and its first arguments, as libcluster writes `{Module, Function, Arguments}`: the node's name
 * follows as the last argument. In text, modules of Elixir may lack `Elixir.`, and what begins with a colon is an atom.
 */
export type Mfa = readonly [module: string, fun: string, args?: readonly Term[]];

/** Options of {@link mfaHooks}. */
export interface MfaHooksOptions {
  /** The name of the BEAM whose connections these are. */
  readonly node: string;
  /**
   * Calls a function there: `(m, f, args, { signal }) => ours.processes.erpc.call(node, m, f, args, { signal })` with
   * `@isthmus/core`.
   */
  readonly rpc: (
    module: string,
    fun: string,
    args: readonly Term[],
    options: { readonly signal?: AbortSignal },
  ) => Promise<Term>;
  /** `true` and `ok` mean connected, `false` unreachable, `ignored` not distributed. @default `net_kernel:connect_node` */
  readonly connect?: Mfa;
  /** `true`, `ok`, and `false` and `ignored` (there is no connection) are fine. @default `erlang:disconnect_node` */
  readonly disconnect?: Mfa;
  /** A list of node names, called without a further argument. @default `erlang:nodes(connected)` */
  readonly listNodes?: Mfa;
  readonly logger?: Logger;
}

const CONNECT: Mfa = ["net_kernel", "connect_node"];
const DISCONNECT: Mfa = ["erlang", "disconnect_node"];
const LIST_NODES: Mfa = ["erlang", "nodes", [atom("connected")]];

/**
 * Hooks that make a BEAM connect to other nodes, and leave them, as libcluster does from inside; every function of
 * the BEAM can take the place of the usual ones, such as those of Partisan.
 *
 * The BEAM is asked for its nodes whenever these are wanted, and {@link ClusterHooks.listNodes} gives what it
 * answered last. While it cannot be asked the last answer stands.
 *
 * Since OTP 25 `global` takes a node that was disconnected for a partition, and makes others disconnect it too: prefer
 * the removal `never` for nodes that are visible to each other.
 */
export function mfaHooks(options: MfaHooksOptions): ClusterHooks {
  return new RemoteHooks(options);
}

class RemoteHooks implements ClusterHooks {
  readonly self: string;
  readonly #options: MfaHooksOptions;
  readonly #logger: Logger;
  #nodes: ReadonlySet<string> = new Set();
  readonly #upListeners = new Set<(node: string) => void>();
  readonly #downListeners = new Set<(node: string) => void>();
  #asking = false;
  /** Counts what we changed, so that an answer from before is not taken for the present. */
  #changes = 0;
  #listError: string | undefined;

  constructor(options: MfaHooksOptions) {
    this.self = options.node;
    this.#options = options;
    this.#logger = options.logger ?? silentLogger;
  }

  async connect(node: string, signal: AbortSignal): Promise<void> {
    const answer = await this.#call(this.#options.connect ?? CONNECT, [atom(node)], signal);
    const word = wordOf(answer);
    if (word === "true" || word === "ok") this.#change(node, true);
    else throw this.#connectError(node, word, answer);
  }

  async disconnect(node: string): Promise<void> {
    const answer = await this.#call(this.#options.disconnect ?? DISCONNECT, [atom(node)]);
    if (["true", "ok", "false", "ignored"].includes(wordOf(answer) ?? "")) this.#change(node, false);
    else {
      const message = `${this.self} did not disconnect ${node}: it said ${shown(answer)}.`;
      throw strategiesError("DISCONNECT_FAILED", message, { context: { node } });
    }
  }

  listNodes(): readonly string[] {
    if (!this.#asking) void this.#ask();
    return [...this.#nodes];
  }

  onNodeUp(listener: (node: string) => void): () => void {
    const own = (node: string): void => listener(node);
    this.#upListeners.add(own);
    return () => this.#upListeners.delete(own);
  }

  onNodeDown(listener: (node: string) => void): () => void {
    const own = (node: string): void => listener(node);
    this.#downListeners.add(own);
    return () => this.#downListeners.delete(own);
  }

  async #ask(): Promise<void> {
    this.#asking = true;
    const changes = this.#changes;
    try {
      const answer = await this.#call(this.#options.listNodes ?? LIST_NODES, []);
      if (!Array.isArray(answer) || !answer.every((node) => node instanceof Atom)) {
        const message = `${this.self} did not answer with a list of nodes, but with ${shown(answer)}.`;
        throw strategiesError("DISCOVERY_FAILED", message, { context: { node: this.self } });
      }
      this.#listError = undefined;
      if (changes === this.#changes) this.#take(new Set(answer.map(({ text }) => text)));
    } catch (cause) {
      const error = coded(cause, "DISCOVERY_FAILED", `${this.self} could not be asked for its nodes.`);
      const log = this.#listError === error.code ? "debug" : "warn";
      this.#listError = error.code;
      this.#logger[log]({ node: this.self, code: error.code }, error.message);
    } finally {
      this.#asking = false;
    }
  }

  #change(node: string, up: boolean): void {
    this.#changes++;
    const nodes = new Set(this.#nodes);
    if (up) nodes.add(node);
    else nodes.delete(node);
    this.#take(nodes);
  }

  #take(nodes: ReadonlySet<string>): void {
    const before = this.#nodes;
    this.#nodes = nodes;
    for (const node of before) if (!nodes.has(node)) for (const tell of this.#downListeners) tell(node);
    for (const node of nodes) if (!before.has(node)) for (const tell of this.#upListeners) tell(node);
  }

  #call([module, fun, args = []]: Mfa, more: readonly Term[], signal?: AbortSignal): Promise<Term> {
    return this.#options.rpc(module, fun, [...args, ...more], signal === undefined ? {} : { signal });
  }

  #connectError(node: string, word: string | undefined, answer: Term): IsthmusError {
    const context = { node };
    if (word === "ignored") {
      const message = `${this.self} is not distributed, so it connects to nobody. Start it with a node name.`;
      return strategiesError("CONNECT_IGNORED", message, { context });
    }
    const why = word === "false" ? "it is unreachable, or refused" : `the answer was ${shown(answer)}`;
    return strategiesError("CONNECT_FAILED", `${this.self} could not connect to ${node}: ${why}.`, {
      context,
    });
  }
}

/**
 * Reads a function as it stands in a configuration file: `[module, function, arguments]`.
 * @returns undefined when it is not one
 */
export function readMfa(value: unknown): Mfa | undefined {
  if (!Array.isArray(value) || value.length < 2 || value.length > 3) return undefined;
  const [module, fun, args = []] = value as unknown[];
  if (typeof module !== "string" || typeof fun !== "string" || !Array.isArray(args)) return undefined;
  if (!/^:?\S+$/.test(module) || !/^:?\S+$/.test(fun)) return undefined;
  const plain = module.replace(/^:/, "");
  return [
    /^[A-Z]/.test(plain) && !plain.startsWith("Elixir.") ? `Elixir.${plain}` : plain,
    fun.replace(/^:/, ""),
    args.map((arg: Term) => (typeof arg === "string" && /^:./.test(arg) ? atom(arg.slice(1)) : arg)),
  ];
}

/** An atom's text, also of the atoms that are booleans here. */
function wordOf(answer: Term): string | undefined {
  if (answer instanceof Atom) return answer.text;
  return typeof answer === "boolean" ? String(answer) : undefined;
}

function shown(answer: Term): string {
  return inspectTerm(answer, { maxLength: 200 });
}
