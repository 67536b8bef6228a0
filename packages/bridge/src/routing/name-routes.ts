import type { Connection } from "@isthmus/core";
import { SIGNAL, type Signal } from "@isthmus/core/channel";
import { type Atom, atom, Pid } from "@isthmus/etf";
import { ADDRESSED } from "../policy/operation.ts";
import type { ClusterRouter } from "./cluster-router.ts";
import type { Lane, RouterParts } from "./context.ts";
import type { Deliveries } from "./deliveries.ts";
import type { ExportedName } from "./exported-name.ts";
import { NOCONNECTION } from "./flow.ts";
import { homeOf } from "./home.ts";
import { type Mirrored, REX, type RemoteCalls } from "./remote-calls.ts";
import { operationOf, runsSomething } from "./signal-operation.ts";

/** Answers pings on every node itself. */
export const NET_KERNEL: Atom = atom("net_kernel");

/** What becomes of signals of one cluster that are addressed to names of others. */
export class NameRoutes {
  readonly #parts: RouterParts;
  readonly #deliveries: Deliveries;
  readonly #calls: RemoteCalls;
  readonly #lane: (to: ClusterRouter) => Lane;

  constructor(
    parts: RouterParts,
    deliveries: Deliveries,
    calls: RemoteCalls,
    lane: (to: ClusterRouter) => Lane,
  ) {
    this.#parts = parts;
    this.#deliveries = deliveries;
    this.#calls = calls;
    this.#lane = lane;
  }

  /** To a name that a route exports. */
  exported(source: Connection, signal: Signal, exported: ExportedName): void {
    const caller = signal.from;
    if (!(caller instanceof Pid)) return;
    const { as, name, target } = exported;
    const lane = this.#lane(target);
    if (signal.kind === SIGNAL.DEMONITOR) {
      this.#demonitor(source, signal, lane, exported.choice.nodes);
      return;
    }
    const node = exported.pick(caller);
    if (node === undefined) {
      this.#parts.flow.answer(source, signal, as, NOCONNECTION);
      return;
    }
    this.#to(source, signal, as, name, exported, lane, node);
  }

  /**
   * To a name of the node that a mirror stands for.
   * @returns false to have the mirror's own node answer
   */
  mirrored(source: Connection, signal: Signal, name: Atom, mirrored: Mirrored): boolean {
    const { to, node } = mirrored;
    if (name === NET_KERNEL) {
      if (runsSomething(signal)) this.#parts.admission.refuse(source, signal, name.text);
      return false;
    }
    if (name === REX) return this.#calls.routeRex(source, signal, mirrored);
    const lane = this.#lane(to);
    if (signal.kind === SIGNAL.DEMONITOR) {
      this.#demonitor(source, signal, lane, [node]);
      return true;
    }
    this.#to(source, signal, name, name, undefined, lane, node);
    return true;
  }

  /** To `name` of `node`, which the sender knows as `shown`, if the rules let it pass, and once the node is connected. */
  #to(
    source: Connection,
    signal: Signal,
    shown: Atom,
    name: Atom,
    by: ExportedName | undefined,
    lane: Lane,
    node: Atom,
  ): void {
    const { flow, admission } = this.#parts;
    const decisions = lane.gate.name(name, source.peer, node);
    const operation = operationOf(signal, ADDRESSED.NAME);
    if (!admission.signal(source, signal, lane, decisions, operation, shown)) {
      this.#deliveries.refused(source, signal, shown, operation);
      return;
    }
    const caller = signal.from;
    const connection = homeOf(lane, source, caller).connection(node);
    if (connection !== undefined) {
      this.#deliveries.name(source, signal, shown, name, by, lane, connection);
      return;
    }
    // what is sent after the monitor must find the same node
    const held = signal.kind === SIGNAL.MONITOR && caller instanceof Pid ? caller : undefined;
    if (held !== undefined) by?.hold(held, node);
    lane.to.flow.later(source, signal, lane, node, (copy, late, reason) => {
      if (held !== undefined) by?.release(held);
      if (late === undefined) flow.answer(source, copy, shown, reason);
      else this.#deliveries.name(source, copy, shown, name, by, lane, late);
    });
  }

  #demonitor(source: Connection, signal: Signal, lane: Lane, nodes: readonly Atom[]): void {
    const { monitors } = this.#deliveries;
    if (monitors.demonitor(source, signal.ref!)) return;
    const home = homeOf(lane, source, signal.from);
    for (const node of nodes) {
      if (!home.isConnecting(node)) continue;
      // the monitor itself still waits; this must come after it
      lane.to.flow.later(source, signal, lane, node, (copy) => {
        monitors.demonitor(source, copy.ref!);
      });
    }
  }
}
