import { Atom, atom, type Pid, type Term, Tuple, tuple } from "@isthmus/etf";
import { type Logger, silentLogger } from "@isthmus/wire";
import { coreError } from "../errors.ts";
import { toAtom } from "../process/address.ts";
import { SHUTDOWN } from "../process/atoms.ts";
import type { Process } from "../process/process.ts";
import type { PgOptions } from "./options.ts";
import { type PgScope, startPg } from "./pg-scope.ts";
import type { PgNode } from "./scope-peers.ts";

/** Options of {@link startPhoenixPubSub}. */
export interface PhoenixPubSubOptions extends Omit<PgOptions, "scope"> {
  /** The server's name as in Elixir, `MyApp.PubSub`. */
  readonly name: string | Atom;
  /**
   * The server's `pool_size`, 1 to 1024: the largest of all nodes, or what a larger one spreads over its pool does not
   * all arrive. @default 1
   */
  readonly poolSize?: number;
  /**
   * The scope `Elixir.Phoenix.PubSub` of this node, which is one for all PubSub servers; it then stays when this is
   * closed, and the options of a scope have no effect. @default one is started
   */
  readonly pg?: PgScope;
}

/** A message that was broadcast on a topic. */
export interface PhoenixBroadcast {
  readonly topic: string;
  /** What a subscribed process of Elixir would get. A struct is a map with the key `__struct__`. */
  readonly message: Term;
  /** The module that hands messages to subscribers there: `Elixir.Phoenix.PubSub` unless the sender chose another. */
  readonly dispatcher: Atom;
}

/** Options of {@link PhoenixPubSub.broadcast}. */
export interface PhoenixBroadcastOptions {
  /** The module that hands the message to subscribers on the other nodes, where it must exist. @default Elixir.Phoenix.PubSub */
  readonly dispatcher?: string | Atom;
}

/** Name of the scope that the adapter `Phoenix.PubSub.PG2` uses. */
export const PHOENIX_PUBSUB_SCOPE = "Elixir.Phoenix.PubSub";

interface Subscriber {
  readonly listener: (broadcast: PhoenixBroadcast) => void;
}

const FORWARD = atom("forward_to_local");
const MAX_POOL_SIZE = 1024;

/**
 * Takes part in a `Phoenix.PubSub` server (version 2, with its default adapter `Phoenix.PubSub.PG2`) of the nodes that
 * `node` is connected to, as one more node that has it.
 * @throws IsthmusError `OPTION_INVALID`, `NAME_TAKEN` when the server, or a scope that was not given, is there already
 */
export function startPhoenixPubSub(node: PgNode, options: PhoenixPubSubOptions): PhoenixPubSub {
  return new PhoenixPubSub(node, options);
}

/**
 * A `Phoenix.PubSub` server: topics that programs on any node subscribe to and broadcast on.
 *
 * It does what the adapter does on each node: a process, registered as `Name.Adapter` and a member of the group of that
 * name, gets `{forward_to_local, Topic, Message, Dispatcher}` and hands it to the subscribers of its node. Who
 * broadcasts sends that to the members of the group on all other nodes.
 */
export class PhoenixPubSub implements Disposable {
  readonly #pg: PgScope;
  readonly #ownsPg: boolean;
  readonly #process: Process;
  /** The group that we broadcast to: the first of the pool, which nodes have whatever the size of theirs is. */
  readonly #group: Atom;
  readonly #node: PgNode;
  readonly #logger: Logger;
  readonly #subscribers = new Map<string, Set<Subscriber>>();

  /** Use {@link startPhoenixPubSub}. */
  constructor(node: PgNode, options: PhoenixPubSubOptions) {
    const { name, poolSize = 1, pg, ...scope } = options;
    const groups = poolGroups(toAtom(name), poolSize);
    this.#group = groups[0] as Atom;
    this.#node = node;
    this.#logger = options.logger ?? silentLogger;
    this.#ownsPg = pg === undefined;
    const process = node.processes.spawn({ trapExit: true, onMessage: (message) => this.#message(message) });
    this.#process = process;
    try {
      // also by these names: direct_broadcast sends to a name on one node
      for (const group of groups) node.processes.register(group, process);
      this.#pg = pg ?? startPg(node, { ...scope, scope: PHOENIX_PUBSUB_SCOPE });
      for (const group of groups) this.#pg.join(group, process);
    } catch (error) {
      process.exit(SHUTDOWN);
      throw error;
    }
  }

  /** The other nodes that are known to have this server. */
  nodes(): string[] {
    return [...new Set(this.#others().map(({ node }) => node.text))];
  }

  /**
   * Calls `listener` with each message that is broadcast on a topic, as it arrives. @returns a function that ends that
   * @throws IsthmusError `PROCESS_DEAD` when this is closed
   */
  subscribe(topic: string, listener: (broadcast: PhoenixBroadcast) => void): () => void {
    this.#mustLive();
    const subscriber = { listener };
    const subscribers = this.#subscribers.get(topic) ?? new Set();
    this.#subscribers.set(topic, subscribers.add(subscriber));
    return () => {
      subscribers.delete(subscriber);
      if (subscribers.size === 0 && this.#subscribers.get(topic) === subscribers)
        this.#subscribers.delete(topic);
    };
  }

  /**
   * Sends a message to all who have subscribed to the topic, on all nodes, as `Phoenix.PubSub.broadcast/4`. Those of
   * this node are called later in the same turn, and get the term as it is.
   * @throws IsthmusError `PROCESS_DEAD` when this is closed, a code of `@isthmus/etf`
   */
  broadcast(topic: string, message: Term, options: PhoenixBroadcastOptions = {}): void {
    const forward = forwardToLocal(topic, message, options);
    for (const pid of this.#others()) this.#process.send(pid, forward);
    this.#process.send(this.#process, forward);
  }

  /**
   * Sends a message to all who have subscribed to the topic on one other node, as `Phoenix.PubSub.direct_broadcast/5`.
   * Connects by itself.
   * @throws IsthmusError as {@link PhoenixPubSub.broadcast}
   */
  directBroadcast(
    node: string | Atom,
    topic: string,
    message: Term,
    options: PhoenixBroadcastOptions = {},
  ): void {
    this.#process.send({ name: this.#group, node }, forwardToLocal(topic, message, options));
  }

  /** Ends it: nothing is delivered any more. Any number of times. */
  close(): void {
    this.#subscribers.clear();
    if (this.#process.alive) this.#process.exit(SHUTDOWN);
    if (this.#ownsPg) this.#pg.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #others(): Pid[] {
    return this.#pg.members(this.#group).filter(({ node }) => node.text !== this.#node.name);
  }

  #message(term: Term): void {
    const broadcast = readForward(term);
    if (broadcast === undefined) {
      this.#logger.debug({ server: this.#group.text }, "a message that is no broadcast was ignored");
      return;
    }
    for (const { listener } of [...(this.#subscribers.get(broadcast.topic) ?? [])]) {
      try {
        listener(broadcast);
      } catch (error) {
        this.#logger.error({ server: this.#group.text, topic: broadcast.topic, error }, "a subscriber threw");
      }
    }
  }

  #mustLive(): void {
    if (this.#process.alive) return;
    throw coreError("PROCESS_DEAD", `The PubSub server ${this.#group.text} has ended. Start it anew.`);
  }
}

/** `Name.Adapter`, `Name.Adapter_2`, ... as the adapter of PubSub 2 names the groups of its pool. */
function poolGroups(name: Atom, size: number): Atom[] {
  if (!Number.isInteger(size) || size < 1 || size > MAX_POOL_SIZE) {
    throw coreError(
      "OPTION_INVALID",
      `poolSize must be a whole number from 1 to ${MAX_POOL_SIZE}, not ${size}.`,
    );
  }
  const module = name.text.startsWith("Elixir.") ? name.text : `Elixir.${name.text}`;
  return Array.from({ length: size }, (_, i) => atom(`${module}.Adapter${i === 0 ? "" : `_${i + 1}`}`));
}

function forwardToLocal(topic: string, message: Term, options: PhoenixBroadcastOptions): Tuple {
  return tuple(FORWARD, topic, message, toAtom(options.dispatcher ?? PHOENIX_PUBSUB_SCOPE));
}

function readForward(term: Term): PhoenixBroadcast | undefined {
  if (!(term instanceof Tuple) || term.size !== 4 || term.elements[0] !== FORWARD) return undefined;
  const [, topic, message, dispatcher] = term.elements;
  const text = topic instanceof Uint8Array ? Buffer.from(topic).toString() : topic;
  if (typeof text !== "string" || !(dispatcher instanceof Atom)) return undefined;
  return { topic: text, message: message as Term, dispatcher };
}
