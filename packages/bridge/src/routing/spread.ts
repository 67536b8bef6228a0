import type { Connection, HiddenNode } from "@isthmus/core";
import type { Signal } from "@isthmus/core/channel";
import type { Pid } from "@isthmus/etf";
import type { Decision } from "../policy/decision.ts";
import type { ClusterRouter } from "./cluster-router.ts";
import type { Lane, RouterParts } from "./context.ts";
import type { Deliveries } from "./deliveries.ts";
import { homeOf } from "./home.ts";
import { addressing, operationOf } from "./signal-operation.ts";

/** How far {@link spreadSignal} has come with one message. */
export interface Spread {
  readonly to: ClusterRouter;
  /** The first of the targets that it has not been handed to. */
  next: number;
  /** Our node there over whose connections it goes. */
  home?: HiddenNode;
  /** Rules that have judged it, and whether they let it pass. */
  readonly judged: Map<Decision | undefined, boolean>;
}

/** Bytes that one message may put into connections in one turn, before it is seen whether they take more. */
const SPREAD_BYTES = 1024 * 1024;

/**
 * Hands a message to several processes of another cluster, `targets` as that cluster knows them, as if it had been
 * sent to the stand-in of each; a rule judges it once. Goes on from `spread.next`, and stops early when a node does
 * not take more: then that is less than the number of targets.
 * @throws IsthmusError a code of the term codec when the message is malformed
 */
export function spreadSignal(
  parts: RouterParts,
  deliveries: Deliveries,
  lane: Lane,
  source: Connection,
  signal: Signal,
  targets: readonly Pid[],
  spread: Spread,
): void {
  const { flow, admission } = parts;
  const home = homeOf(lane, source, signal.from);
  spread.home = home;
  let written = 0;
  for (; spread.next < targets.length; spread.next++) {
    const own = targets[spread.next]!;
    const target = home.connection(own.node);
    if (target?.blocked === true || written >= SPREAD_BYTES) return;
    const decisions = lane.gate.pid(source.peer, own.node);
    const operation = operationOf(signal, addressing(own));
    const decision = operation === undefined ? undefined : decisions[operation];
    let admitted = spread.judged.get(decision);
    if (admitted === undefined) {
      admitted = admission.signal(source, signal, lane, decisions, operation, own.node);
      spread.judged.set(decision, admitted);
    }
    if (!admitted) continue;
    if (target !== undefined) {
      deliveries.process(source, signal, own, own, lane, target);
      written += signal.bodyEnd - signal.bodyStart;
    } else if (home === lane.to.node) {
      // the member is on its way out of the group
      flow.counters.undeliverable++;
    } else {
      // a mirror may not have been there yet
      lane.to.flow.later(source, signal, lane, own.node, (copy, late) => {
        if (late === undefined) flow.counters.undeliverable++;
        else deliveries.process(source, copy, own, own, lane, late);
      });
    }
  }
}
