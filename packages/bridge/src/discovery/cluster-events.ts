import type { HiddenNode, NamedProcess, Process } from "@isthmus/core";
import { Atom, atom, inspectTerm, Pid, type Term, Tuple, tuple } from "@isthmus/etf";
import { EventSubscribers } from "@isthmus/strategies";
import { type Logger, silentLogger } from "@isthmus/wire";
import { pidKey } from "../translate/identifier.ts";

/** Options of {@link serveClusterEvents}. */
export interface ClusterEventsOptions {
  /** The name of the process. @default "Elixir.Cluster.Events", as in libcluster 1 and skycluster */
  readonly name?: string;
  /** Subscribers at once; more are refused. @default 10000 */
  readonly limit?: number;
  readonly logger?: Logger;
}

/** A running process of cluster events. Made by {@link serveClusterEvents}. */
export interface ClusterEvents extends Disposable {
  readonly process: Process;
  /** How many are subscribed. */
  readonly size: number;
  /** Calls `listener` with every event that others publish. @returns a function that ends this */
  onPublished(listener: (event: Term) => void): () => void;
  /**
   * Publishes an event as skycluster does: it goes to the process of the same name on every connected node, and from
   * there to those who are subscribed on that node. Those who are subscribed here do not get it.
   */
  publish(event: Term): void;
  /** Ends the process; whoever is subscribed hears no more. May be called again. */
  close(): void;
}

const SUBSCRIBE = atom("subscribe");
const UNSUBSCRIBE = atom("unsubscribe");
const PUBLISH = atom("publish");
const RECEIVE = atom("receive");
const NODEUP = atom("nodeup");
const NODEDOWN = atom("nodedown");
const OK = atom("ok");
const ERROR = atom("error");

type Target = Pid | (NamedProcess & { readonly name: Atom; readonly node: Atom });

/**
 * Starts the process `Cluster.Events` of libcluster 1 and skycluster on our node. Processes of connected nodes
 * subscribe with a message, or a `gen_server:call`, and get a plain message for each node, hidden or not, with which
 * our node gets and loses its connection:
 *
 * | to `{'Elixir.Cluster.Events', OurNode}` | what it does |
 * |---|---|
 * | `{subscribe, Pid}`, `{subscribe, {Name, Node}}` | sends `{nodeup, Node}` and `{nodedown, Node}` there from now on |
 * | `{unsubscribe, ...}` | no more; so does the end of the process, or of its node |
 * | `{publish, Event}`, `{receive, Event}` | sends `Event` to all who are subscribed here |
 *
 * @throws IsthmusError `NAME_TAKEN`, `NODE_CLOSED`, `PROCESS_LIMIT`
 */
export function serveClusterEvents(node: HiddenNode, options: ClusterEventsOptions = {}): ClusterEvents {
  const { name = "Elixir.Cluster.Events", limit, logger = silentLogger } = options;
  const self = atom(node.name);
  const listeners = new Set<(event: Term) => void>();
  // a message or a monitor would dial a node that is gone, or that a peer made up
  const isReached = ({ node: other }: Target): boolean =>
    other === self || node.connection(other) !== undefined;
  const subscribers = new EventSubscribers<Target, Term>({
    key: keyOf,
    deliver: (target, event) => {
      if (isReached(target)) process.send(target, event);
    },
    watch: (target, gone) => {
      const ref = process.monitor(target, { onDown: gone });
      return () => {
        if (process.alive) process.demonitor(ref);
      };
    },
    logger,
    ...(limit === undefined ? {} : { limit }),
  });

  /** @returns whether it was understood, and done */
  const handle = (message: Term): boolean => {
    if (!(message instanceof Tuple) || message.size !== 2) return false;
    const [verb, value] = message.elements as readonly [Term, Term];
    if (verb === PUBLISH || verb === RECEIVE) {
      subscribers.publish(value);
      for (const listener of listeners) tell(listener, value, logger);
      return true;
    }
    const target = targetOf(value);
    if (target === undefined) return false;
    if (verb === SUBSCRIBE) return isReached(target) && subscribers.subscribe(target);
    if (verb === UNSUBSCRIBE) subscribers.unsubscribe(target);
    return verb === UNSUBSCRIBE;
  };

  const process: Process = node.serve(
    name,
    {
      call: (request) => (handle(request) ? OK : tuple(ERROR, atom("refused"))),
      info: (message) => {
        if (handle(message)) return;
        const shown = inspectTerm(message, { maxLength: 200 });
        logger.debug({ name, message: shown }, "a message to the cluster events has no effect");
      },
      terminate: () => close(),
    },
    { trapExit: true },
  );
  const stop = node.onNodeEvent(({ type, node: other }) =>
    subscribers.publish(tuple(type === "up" ? NODEUP : NODEDOWN, atom(other))),
  );
  const close = (): void => {
    stop();
    listeners.clear();
    subscribers.close();
    if (process.alive) process.exit();
  };
  return {
    process,
    get size() {
      return subscribers.size;
    },
    onPublished: (listener) => {
      const own = (event: Term): void => listener(event);
      listeners.add(own);
      return () => listeners.delete(own);
    },
    publish: (event) => {
      for (const { node: other } of node.nodes()) process.send({ name, node: other }, tuple(RECEIVE, event));
    },
    close,
    [Symbol.dispose]: close,
  };
}

/** A pid, or `{Name, Node}`. */
function targetOf(value: Term): Target | undefined {
  if (value instanceof Pid) return value;
  if (!(value instanceof Tuple) || value.size !== 2) return undefined;
  const [name, node] = value.elements;
  return name instanceof Atom && node instanceof Atom ? { name, node } : undefined;
}

function keyOf(target: Target): string {
  return target instanceof Pid ? pidKey(target) : `{${target.name.text}, ${target.node.text}}`;
}

function tell(listener: (event: Term) => void, event: Term, logger: Logger): void {
  try {
    listener(event);
  } catch (error) {
    logger.error({ err: error }, "a listener of published cluster events threw");
  }
}
