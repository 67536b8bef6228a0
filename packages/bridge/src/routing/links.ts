import type { Connection } from "@isthmus/core";
import type { Signal, TermBody } from "@isthmus/core/channel";
import type { Pid } from "@isthmus/etf";
import type { IdentityIndex } from "../translate/identity-index.ts";
import type { Place } from "../translate/translator.ts";
import type { Lane, RouterParts } from "./context.ts";
import { NOCONNECTION, NOPROC, REFUSED } from "./flow.ts";
import {
  holdLink,
  isFull,
  type LinkEnd,
  type LinkRecord,
  linkKey,
  type Relations,
  releaseLink,
} from "./relations.ts";

/** The links between processes of one cluster and those of others. */
export class Links {
  readonly #parts: RouterParts;
  #unlinkId = 0;

  constructor(parts: RouterParts) {
    this.#parts = parts;
  }

  /** A process links itself to `process`, which it knows as `to`. */
  link(source: Connection, signal: Signal, to: Pid, process: Pid, lane: Lane, target: Connection): void {
    const { context, flow, index } = this.#parts;
    const from = signal.from as Pid;
    const here = context.relations.get(source);
    const there = context.relations.get(target);
    if (here === undefined || there === undefined) return;
    const key = linkKey(from, to);
    const known = here.links.get(key);
    if (known !== undefined) {
      const near = nearEnd(known, source, key);
      near.unlinking = undefined;
      const { connection, own, other } = otherEnd(known, near);
      connection.signals.link(other, own);
      flow.carried(source, connection);
      return;
    }
    const fromThere = lane.translator.pid(from);
    if (isFull(here, context) || isFull(there, context)) {
      flow.answer(source, signal, to, NOCONNECTION);
      return;
    }
    this.remember(source, from, to, target, process, fromThere, index, lane.to.index);
    target.signals.link(fromThere, process);
    flow.carried(source, target);
  }

  /** Takes down a link of `from`, of whom the other is `to`, with `process`, of whom the other is `fromThere`. */
  remember(
    source: Connection,
    from: Pid,
    to: Pid,
    target: Connection,
    process: Pid,
    fromThere: Pid,
    here: IdentityIndex<Place>,
    there: IdentityIndex<Place>,
  ): void {
    const { relations } = this.#parts.context;
    const key = linkKey(from, to);
    const far = linkKey(process, fromThere);
    const record: LinkRecord = {
      ends: [
        { connection: source, own: from, other: to, index: here, key, unlinking: undefined },
        { connection: target, own: process, other: fromThere, index: there, key: far, unlinking: undefined },
      ],
    };
    holdLink(record);
    for (const { connection, key: one } of record.ends) {
      const links = relations.get(connection)?.links;
      const same = links?.get(one);
      if (same !== undefined) join(record, same);
      links?.set(one, record);
    }
  }

  unlink(source: Connection, signal: Signal, to: Pid): void {
    const { context, flow } = this.#parts;
    const key = linkKey(signal.from as Pid, to);
    const record = context.relations.get(source)?.links.get(key);
    if (record === undefined) {
      flow.answer(source, signal, to, NOPROC);
      return;
    }
    const near = nearEnd(record, source, key);
    const far = otherEnd(record, near);
    if (this.#sharing(record, far).length > 0) {
      // it stays linked under another name
      this.#forget(record);
      if (signal.unlinkId !== undefined) acknowledge(near, signal.unlinkId);
      return;
    }
    for (const twin of this.#sharing(record, near)) {
      const { connection, other, own } = otherEnd(twin, nearEnd(twin, source, key));
      this.#forget(twin);
      connection.signals.unlink(this.#nextUnlinkId(), other, own);
    }
    // OTP 23 gives no id, and takes none
    const id = signal.unlinkId ?? this.#nextUnlinkId();
    far.connection.signals.unlink(id, far.other, far.own);
    if (far.connection.signals.acknowledgesUnlink) near.unlinking = id;
    else {
      this.#forget(record);
      acknowledge(near, id);
    }
    flow.carried(source, far.connection);
  }

  unlinkAck(source: Connection, signal: Signal, to: Pid): void {
    const { context, flow } = this.#parts;
    const key = linkKey(signal.from as Pid, to);
    const record = context.relations.get(source)?.links.get(key);
    if (record === undefined) return;
    const near = nearEnd(record, source, key);
    const asked = otherEnd(record, near);
    const id = asked.unlinking;
    // an acknowledgement of an unlink that was followed by a new link means nothing
    if (id === undefined || id !== signal.unlinkId) return;
    asked.unlinking = undefined;
    // both may have asked at the same time: then the other acknowledgement is still to come
    if (near.unlinking === undefined) this.#forget(record);
    acknowledge(asked, id);
    flow.carried(source, asked.connection);
  }

  /** A process has ended that was linked. */
  exit(source: Connection, signal: Signal, to: Pid, lane: Lane): void {
    const { context, flow, admission } = this.#parts;
    const key = linkKey(signal.from as Pid, to);
    const record = context.relations.get(source)?.links.get(key);
    if (record === undefined) {
      flow.counters.undeliverable++;
      return;
    }
    for (const one of [record, ...this.#sharing(record, nearEnd(record, source, key))]) {
      const far = otherEnd(one, nearEnd(one, source, key));
      const token = lane.token.tokenOf(signal, far.connection);
      admission.sendReason(source, signal, lane, far.connection, (reason) =>
        far.connection.signals.exit(far.other, far.own, reason, reason === REFUSED ? undefined : token),
      );
      // while an unlink is under way its acknowledgement is still to come
      if (far.unlinking === undefined) this.#forget(one);
      flow.carried(source, far.connection);
    }
  }

  /** A connection is gone, and with it all its links, `lost`. */
  lost(connection: Connection, lost: Relations): void {
    const records = new Set(lost.links.values());
    // of those that are one link here only the last is under their key
    for (const { twins } of lost.links.values())
      for (const twin of twins ?? []) if (hasEnd(twin, connection)) records.add(twin);
    for (const link of records) {
      const far = farEnd(link, connection);
      this.#forget(link);
      if (far.connection === connection) continue;
      if (far.unlinking === undefined) exitFar(far, NOCONNECTION);
      else acknowledge(far, far.unlinking);
    }
  }

  /** The other links that are the same at this end of a link. */
  #sharing(record: LinkRecord, { connection, key }: LinkEnd): LinkRecord[] {
    if (record.twins === undefined) return [];
    const isSame = (end: LinkEnd): boolean => end.connection === connection && end.key === key;
    return [...record.twins].filter((twin) => twin !== record && twin.ends.some(isSame));
  }

  #forget(record: LinkRecord): void {
    const { relations } = this.#parts.context;
    for (const end of record.ends) {
      const links = relations.get(end.connection)?.links;
      if (links?.get(end.key) !== record) continue;
      const [left] = this.#sharing(record, end);
      if (left === undefined) links.delete(end.key);
      else links.set(end.key, left);
    }
    record.twins?.delete(record);
    releaseLink(record);
  }

  #nextUnlinkId(): number {
    this.#unlinkId = this.#unlinkId === Number.MAX_SAFE_INTEGER ? 1 : this.#unlinkId + 1;
    return this.#unlinkId;
  }
}

function join(record: LinkRecord, same: LinkRecord): void {
  const twins = same.twins ?? new Set([same]);
  for (const one of record.twins ?? []) twins.add(one);
  twins.add(record);
  for (const one of twins) one.twins = twins;
}

function hasEnd({ ends }: LinkRecord, connection: Connection): boolean {
  return ends[0].connection === connection || ends[1].connection === connection;
}

function exitFar(end: LinkEnd, reason: TermBody): void {
  end.connection.signals.exit(end.other, end.own, reason);
}

function acknowledge(end: LinkEnd, id: number | bigint): void {
  if (end.connection.signals.acknowledgesUnlink) end.connection.signals.unlinkAck(id, end.other, end.own);
}

function nearEnd(record: LinkRecord, connection: Connection, key: string): LinkEnd {
  const [first, second] = record.ends;
  return first.connection === connection && first.key === key ? first : second;
}

function otherEnd(record: LinkRecord, end: LinkEnd): LinkEnd {
  const [first, second] = record.ends;
  return end === first ? second : first;
}

function farEnd(record: LinkRecord, connection: Connection): LinkEnd {
  const [first, second] = record.ends;
  return first.connection === connection ? second : first;
}
