import type { HiddenNode } from "@isthmus/core";
import { Atom, atom, ExportFun, type Term, Tuple } from "@isthmus/etf";
import { isIsthmusError } from "@isthmus/wire";
import { formError } from "./errors.ts";

/** What decides how the local node may be dealt with; constant while it runs. */
export interface BeamFacts {
  /** Its OTP release. */
  readonly release: number;
  /**
   * Whether its `global` cuts connections so that no partitions overlap (OTP 25, kernel's
   * `prevent_overlapping_partitions`): then one connection that is closed costs others.
   */
  readonly cutsOverlaps: boolean;
}

/** Answers come at once unless the node is overloaded. */
const ASK_MS = 10_000;
/** `connect_node` gives up by `net_setuptime`, 7 s by default and 120 s at most. */
const CONNECT_MS = 130_000;

const CHANGED = atom("changed");
const SIGNAL = atom("signal");

/**
 * What is asked of the local BEAM node: functions of OTP 23 and later that every release has, each called by `erpc` or
 * `rpc` as that release can. Nothing is loaded and nothing is evaluated there.
 */
export class BeamCalls {
  readonly #hidden: HiddenNode;
  readonly node: string;

  /** @param hidden our own node @param node the BEAM's name */
  constructor(hidden: HiddenNode, node: string) {
    this.#hidden = hidden;
    this.node = node;
  }

  /** `nodes(connected)`: visible and hidden ones, without ourselves. @throws IsthmusError */
  async connected(signal: AbortSignal): Promise<string[]> {
    const names = nodeNames(await this.#call(signal, ASK_MS, "erlang", "nodes", [atom("connected")]));
    if (names === undefined) throw this.#odd("erlang:nodes/1");
    return names.filter((name) => name !== this.#hidden.name);
  }

  /** @throws IsthmusError */
  async facts(signal: AbortSignal): Promise<BeamFacts> {
    const [otp, kernel, flag] = await Promise.all([
      this.#call(signal, ASK_MS, "erlang", "system_info", [atom("otp_release")]),
      this.#call(signal, ASK_MS, "application", "get_all_env", [atom("kernel")]),
      this.#call(signal, ASK_MS, "init", "get_argument", [atom("connect_all")]),
    ]);
    const release = Number(charlist(otp));
    if (!Number.isInteger(release)) throw this.#odd("erlang:system_info/1");
    const off = (name: string): boolean => setting(kernel, name) === false;
    // {ok, [["false"]]}: the flag of releases before 25, which later ones still heed
    const flagged =
      flag instanceof Tuple && Array.isArray(flag.elements[1])
        ? flag.elements[1].some((values) => Array.isArray(values) && charlist(values[0]) === "false")
        : false;
    const cuts = release >= 25 && !off("prevent_overlapping_partitions") && !off("connect_all") && !flagged;
    return { release, cutsOverlaps: cuts };
  }

  /** `net_kernel:connect_node(Peer)`. @throws IsthmusError `PEER_UNREACHABLE` */
  async connect(peer: string, signal: AbortSignal): Promise<void> {
    const answer = await this.#call(signal, CONNECT_MS, "net_kernel", "connect_node", [atom(peer)]);
    if (answer === true) return;
    throw formError(
      "PEER_UNREACHABLE",
      `${this.node} could not connect to ${peer}. Check from there that the name resolves, that its epmd and its port can be reached, and that both have one cookie.`,
      { context: { node: peer } },
    );
  }

  /** `erlang:disconnect_node(Peer)`: the connection has ended when it returns. @throws IsthmusError */
  async disconnect(peer: string, signal: AbortSignal): Promise<void> {
    await this.#call(signal, ASK_MS, "erlang", "disconnect_node", [atom(peer)]);
  }

  /**
   * What `peer` itself says about whom it is connected to (`nodes()`), asked by the local node over their connection;
   * undefined when it does not answer within `ms`.
   * @throws IsthmusError when the local node does not answer either
   */
  async nodesOf(peer: string, ms: number, signal: AbortSignal): Promise<string[] | undefined> {
    const args = [atom(peer), atom("erlang"), atom("nodes"), [], ms];
    return nodeNames(await this.#call(signal, ms + ASK_MS, "rpc", "call", args));
  }

  /**
   * Resolves when a node, hidden or visible, has come to or gone from the local node since this was called. Takes one
   * process there, which subscribes to node events and hibernates until the first comes; that wakes it up, and it
   * ends. Our own going away is such an event too, so it never stays behind.
   * @returns false when such a process cannot be had there: then there is nothing but asking
   */
  async changed(signal: AbortSignal): Promise<boolean> {
    const funs = [fun("net_kernel", "monitor_nodes", 2), fun("erlang", "hibernate", 3)];
    const options = [new Tuple([atom("node_type"), atom("all")])];
    const args: Term[] = [
      [true, options],
      [atom("erlang"), atom("exit"), [CHANGED]],
    ];
    try {
      await this.#hidden.processes.erpc.call(
        this.node,
        "lists",
        "zipwith",
        [fun("erlang", "apply", 2), funs, args],
        {
          timeoutMs: Number.POSITIVE_INFINITY,
          signal,
        },
      );
      return false;
    } catch (error) {
      if (!isIsthmusError(error) || error.code !== "RPC_FAILED") throw error;
      const { reason } = error.context;
      return reason instanceof Tuple && reason.elements[0] === SIGNAL && reason.elements[1] === CHANGED;
    }
  }

  #call(
    signal: AbortSignal,
    timeoutMs: number,
    module: string,
    name: string,
    args: readonly Term[],
  ): Promise<Term> {
    return this.#hidden.processes.rpc(this.node, module, name, args, { timeoutMs, signal });
  }

  #odd(what: string): Error {
    return formError("LOCAL_NODE_FAILED", `${this.node} gave something unknown as the value of ${what}.`);
  }
}

function fun(module: string, name: string, arity: number): ExportFun {
  return new ExportFun(atom(module), atom(name), arity);
}

/** The texts of a list of atoms; undefined for anything else. */
function nodeNames(term: Term): string[] | undefined {
  if (!Array.isArray(term)) return undefined;
  const names = (term as readonly Term[]).map((one) => (one instanceof Atom ? one.text : undefined));
  return names.includes(undefined) ? undefined : (names as string[]);
}

/** The value of `name` in a list of `{Name, Value}`. */
function setting(list: Term, name: string): Term | undefined {
  if (!Array.isArray(list)) return undefined;
  const key = atom(name);
  const pair = (list as readonly Term[]).find((one) => one instanceof Tuple && one.elements[0] === key);
  return pair instanceof Tuple ? pair.elements[1] : undefined;
}

function charlist(term: Term | undefined): string | undefined {
  if (!Array.isArray(term)) return undefined;
  return (term as readonly Term[]).map((code) => String.fromCharCode(Number(code))).join("");
}
