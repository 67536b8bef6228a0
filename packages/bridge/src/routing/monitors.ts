import type { Connection } from "@isthmus/core";
import type { Signal, TermBody } from "@isthmus/core/channel";
import type { Atom, Pid, Reference } from "@isthmus/etf";
import type { Lane, RouterParts } from "./context.ts";
import type { ExportedName } from "./exported-name.ts";
import { NOCONNECTION } from "./flow.ts";
import { homeOf } from "./home.ts";
import {
  holdMonitor,
  isFull,
  type MonitorRecord,
  monitorKey,
  type Relations,
  releaseMonitor,
} from "./relations.ts";
import { isOwn } from "./signal-operation.ts";

/** The monitors that processes of one cluster hold of processes of others, and the other way round where they end. */
export class Monitors {
  readonly #parts: RouterParts;

  constructor(parts: RouterParts) {
    this.#parts = parts;
  }

  /** A process wants to watch `target`, which it knows as `shown`. */
  monitor(
    source: Connection,
    signal: Signal,
    shown: Pid | Atom,
    target: Pid | Atom,
    by: ExportedName | undefined,
    lane: Lane,
    watched: Connection,
  ): void {
    const { context, flow } = this.#parts;
    const ref = signal.ref!;
    const there = context.relations.get(watched);
    const here = context.relations.get(source);
    if (here === undefined || there === undefined) return;
    // with the reference of another node, or one that is in use, it would take that monitor away
    if (!isOwn(source, ref) || here.watching.has(monitorKey(ref))) {
      flow.counters.undeliverable++;
      return;
    }
    if (isFull(here, context) || isFull(there, context)) {
      flow.answer(source, signal, shown, NOCONNECTION);
      return;
    }
    this.watch(source, signal.from as Pid, ref, shown, target, by, lane, watched);
    flow.carried(source, watched);
  }

  /** Monitors `target` for `watcher`, who knows it as `shown`. */
  watch(
    source: Connection,
    watcher: Pid,
    ref: Reference,
    shown: Pid | Atom,
    target: Pid | Atom,
    by: ExportedName | undefined,
    lane: Lane,
    watched: Connection,
  ): void {
    const watcherThere = lane.translator.pid(watcher);
    const refThere = lane.translator.reference(ref);
    watched.signals.monitor(watcherThere, target, refThere);
    this.remember({
      key: monitorKey(refThere),
      ownKey: monitorKey(ref),
      watching: source,
      watcher,
      ref,
      shown,
      watched,
      watcherThere,
      refThere,
      target,
      here: this.#parts.index,
      there: lane.to.index,
      by,
    });
    by?.hold(watcher, watched.peer);
  }

  /** Takes down that there is a monitor. */
  remember(record: MonitorRecord): void {
    const { relations } = this.#parts.context;
    holdMonitor(record);
    relations.get(record.watching)?.watching.set(record.ownKey, record);
    relations.get(record.watched)?.watched.set(record.key, record);
  }

  /** The watcher takes back the monitor that it knows by `ref`. @returns whether there was one */
  demonitor(source: Connection, ref: Reference): boolean {
    const record = this.#parts.context.relations.get(source)?.watching.get(monitorKey(ref));
    if (record === undefined) return false;
    this.#end(record);
    return true;
  }

  /** Ends a monitor for both sides. */
  giveUp(source: Connection, ref: Reference, reason: TermBody): void {
    const relations = this.#parts.context.relations.get(source);
    const record = relations?.watching.get(monitorKey(ref));
    if (record === undefined) {
      relations?.endWaiting(ref, reason);
      return;
    }
    this.#end(record);
    source.signals.down(record.shown, record.watcher, record.ref, reason);
  }

  /** The same for the monitor whose reference, as the watched node knows it, an answer of that node bears. */
  giveUpAnswered(watched: Connection, refThere: Reference, reason: TermBody): void {
    const record = this.#parts.context.relations.get(watched)?.watched.get(monitorKey(refThere));
    if (record === undefined) return;
    this.#end(record);
    record.watching.signals.down(record.shown, record.watcher, record.ref, reason);
  }

  /** What was watched has ended. */
  down(source: Connection, signal: Signal, lane: Lane): void {
    const { context, flow } = this.#parts;
    const record = context.relations.get(source)?.watched.get(monitorKey(signal.ref!));
    if (record === undefined) {
      flow.counters.undeliverable++;
      return;
    }
    this.#forget(record);
    const { watching } = record;
    const home = homeOf(lane, source, signal.from);
    if (home === lane.to.node || home.name === watching.localName) {
      this.#sendDown(source, signal, lane, record, watching);
      return;
    }
    // it watches under the bridge's name what has a mirror, from where it gets what was sent before: a BEAM takes it
    // from there, too, and then says that the name is the mirror's
    const via = home.connection(watching.peer);
    if (via === undefined && home.isConnecting(watching.peer)) {
      lane.to.flow.later(source, signal, lane, watching.peer, (copy) => {
        this.#sendDown(source, copy, lane, record, home.connection(watching.peer) ?? watching);
      });
    } else this.#sendDown(source, signal, lane, record, via ?? watching);
  }

  #sendDown(source: Connection, signal: Signal, lane: Lane, record: MonitorRecord, via: Connection): void {
    if (record.watching.closeReason !== undefined) return;
    this.#parts.admission.sendReason(source, signal, lane, via, (reason) =>
      via.signals.down(record.shown, record.watcher, record.ref, reason),
    );
    this.#parts.flow.carried(source, via);
  }

  /** A connection is gone, and with it all its monitors, `lost`. */
  lost(connection: Connection, lost: Relations): void {
    const { relations } = this.#parts.context;
    for (const monitor of lost.watched.values()) {
      relations.get(monitor.watching)?.watching.delete(monitor.ownKey);
      releaseMonitor(monitor);
      monitor.by?.release(monitor.watcher);
      if (monitor.watching !== connection) {
        monitor.watching.signals.down(monitor.shown, monitor.watcher, monitor.ref, NOCONNECTION);
      }
    }
    for (const monitor of lost.watching.values()) {
      relations.get(monitor.watched)?.watched.delete(monitor.key);
      releaseMonitor(monitor);
      monitor.by?.release(monitor.watcher);
      if (monitor.watched !== connection) {
        monitor.watched.signals.demonitor(monitor.watcherThere, monitor.target, monitor.refThere);
      }
    }
  }

  /** The watcher took its monitor back. */
  #end(record: MonitorRecord): void {
    this.#forget(record);
    record.watched.signals.demonitor(record.watcherThere, record.target, record.refThere);
    this.#parts.flow.carried(record.watching, record.watched);
  }

  #forget(record: MonitorRecord): void {
    const { relations } = this.#parts.context;
    relations.get(record.watched)?.watched.delete(record.key);
    relations.get(record.watching)?.watching.delete(record.ownKey);
    releaseMonitor(record);
    record.by?.release(record.watcher);
  }
}
