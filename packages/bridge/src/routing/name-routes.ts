import type { Connection, HiddenNode } from "@isthmus/core";
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
const NET_KERNEL = atom("net_kernel");

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
    const { flow, admission } = this.#parts;
    const caller = signal.from;
    if (!(caller instanceof Pid)) return;
    const { as, name, target } = exported;
    const lane = this.#lane(target);
    const home = homeOf(lane, source, caller);
    if (signal.kind === SIGNAL.DEMONITOR) {
      this.#demonitor(source, signal, lane, home, exported.choice.nodes);
      return;
    }
    const node = exported.pick(caller);
    if (node === undefined) {
      flow.answer(source, signal, as, NOCONNECTION);
      return;
    }
    const decisions = lane.gate.name(name, source.peer, node);
    const operation = operationOf(signal, ADDRESSED.NAME);
    if (!admission.signal(source, signal, lane, decisions, operation, as)) {
      this.#deliveries.refused(source, signal, as, operation);
      return;
    }
    const connection = home.connection(node);
    if (connection !== undefined) {
      this.#deliveries.name(source, signal, as, name, exported, lane, connection);
      return;
    }
    // what is sent after the monitor must find the same node
    if (signal.kind === SIGNAL.MONITOR) exported.hold(caller, node);
    target.flow.later(source, signal, lane, node, (copy, late, reason) => {
      if (copy.kind === SIGNAL.MONITOR) exported.release(caller);
      if (late === undefined) flow.answer(source, copy, as, reason);
      else this.#deliveries.name(source, copy, as, name, exported, lane, late);
    });
  }

  /**
   * To a name of the node that a mirror stands for.
   * @returns false to have the mirror's own node answer
   */
  mirrored(source: Connection, signal: Signal, name: Atom, mirrored: Mirrored): boolean {
    const { to, node } = mirrored;
    const { flow, admission } = this.#parts;
    if (name === NET_KERNEL) {
      if (runsSomething(signal)) admission.refuse(source, signal, name.text);
      return false;
    }
    if (name === REX) return this.#calls.routeRex(source, signal, mirrored);
    const lane = this.#lane(to);
    const home = homeOf(lane, source, signal.from);
    if (signal.kind === SIGNAL.DEMONITOR) {
      this.#demonitor(source, signal, lane, home, [node]);
      return true;
    }
    const operation = operationOf(signal, ADDRESSED.NAME);
    const decisions = lane.gate.name(name, source.peer, node);
    if (!admission.signal(source, signal, lane, decisions, operation, name)) {
      this.#deliveries.refused(source, signal, name, operation);
      return true;
    }
    const target = home.connection(node);
    if (target !== undefined) this.#deliveries.name(source, signal, name, name, undefined, lane, target);
    else
      to.flow.later(source, signal, lane, node, (copy, late, reason) => {
        if (late === undefined) flow.answer(source, copy, name, reason);
        else this.#deliveries.name(source, copy, name, name, undefined, lane, late);
      });
    return true;
  }

  #demonitor(source: Connection, signal: Signal, lane: Lane, home: HiddenNode, nodes: readonly Atom[]): void {
    const { monitors } = this.#deliveries;
    if (monitors.demonitor(source, signal.ref!)) return;
    for (const node of nodes) {
      if (!home.isConnecting(node)) continue;
      // the monitor itself still waits; this must come after it
      lane.to.flow.later(source, signal, lane, node, (copy) => {
        monitors.demonitor(source, copy.ref!);
      });
    }
  }
}
