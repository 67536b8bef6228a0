import type { Connection } from "@isthmus/core";
import type { TermBody } from "@isthmus/core/channel";
import { type Atom, Pid, type Reference } from "@isthmus/etf";
import type { IncomingPieces } from "../long/incoming-pieces.ts";
import type { LongMessage } from "../long/long-message.ts";
import type { OutgoingPieces } from "../long/outgoing-pieces.ts";
import type { IdentityIndex } from "../translate/identity-index.ts";
import type { Place } from "../translate/translator.ts";
import { Barriers } from "./barriers.ts";
import type { RouterContext } from "./context.ts";
import type { ExportedName } from "./exported-name.ts";

/** A monitor that goes across: who watches, and what. */
export interface MonitorRecord {
  /** Under which the watched connection keeps it: the reference as the watched node knows it. */
  readonly key: string;
  /** Under which the watching connection keeps it: the reference as the watcher's node knows it. */
  readonly ownKey: string;
  readonly watching: Connection;
  /** The watcher and its reference as its own node knows them. */
  readonly watcher: Pid;
  readonly ref: Reference;
  /** What it watches, as the watcher's node calls it: a stand-in, or an exported name. */
  readonly shown: Pid | Atom;
  readonly watched: Connection;
  /** The watcher, its reference and the target as the watched node knows them. */
  readonly watcherThere: Pid;
  readonly refThere: Reference;
  readonly target: Pid | Atom;
  /** Where `shown` is shown, and where `watcherThere` and `refThere` are. */
  readonly here: IdentityIndex<Place>;
  readonly there: IdentityIndex<Place>;
  /** Set when it is by name. */
  readonly by: ExportedName | undefined;
}

/** One end of a link that goes across. */
export interface LinkEnd {
  readonly connection: Connection;
  /** The process at this end, as its own node knows it. */
  readonly own: Pid;
  /** The process at the other end, as this node knows it. */
  readonly other: Pid;
  /** Where `other` is shown. */
  readonly index: IdentityIndex<Place>;
  readonly key: string;
  /** An unlink that this end asked for and that the other node has not acknowledged yet. */
  unlinking: number | bigint | undefined;
}

/** A link that goes across. */
export interface LinkRecord {
  /**
   * The links that are one at one of their ends, this one included: a process may know another under two names, and link to
   * both. Undefined for a link by itself.
   */
  twins?: Set<LinkRecord>;
  readonly ends: readonly [LinkEnd, LinkEnd];
}

/** A request to run a function that waits for its reply. */
export interface SpawnRecord {
  readonly asking: Connection;
  /** The caller and its reference as its own node knows them. */
  readonly caller: Pid;
  readonly ref: Reference;
  /** The same as the asked node knows them. */
  readonly callerThere: Pid;
  readonly refThere: Reference;
  /** Where a new process is shown, and where the caller is. */
  readonly here: IdentityIndex<Place>;
  readonly there: IdentityIndex<Place>;
  /** How the caller's node knows a process of the asked one. */
  readonly show: (made: Pid) => Pid;
}

/** What must be told to others when a connection is lost. */
export class Relations {
  /** Links with a process of this node at one end, by {@link linkKey}. */
  readonly links = new Map<string, LinkRecord>();
  /** Monitors of processes of this node, by {@link monitorKey}. */
  readonly watched = new Map<string, MonitorRecord>();
  /** Monitors that processes of this node hold, by {@link monitorKey}. */
  readonly watching = new Map<string, MonitorRecord>();
  /**
   * Monitors by processes of this node that wait for a connection, by {@link monitorKey}; with a reason when what the
   * watcher waits for was not carried, so that the monitor is not to be made but to end.
   */
  readonly waiting = new Map<string, TermBody | undefined>();
  /** Requests that this node has not replied to, by {@link monitorKey}. */
  readonly spawns = new Map<string, SpawnRecord>();
  readonly barriers = new Barriers();
  /** Connections that do not read because this one cannot take more. */
  readonly held = new Set<Connection>();
  /** The long message that this node is sending, as long as it is to be told of the loss of the connection. */
  long: LongMessage | undefined;
  /** Long messages from and to another bridge; undefined for a node of OTP. */
  readonly pieces: { readonly incoming: IncomingPieces; readonly outgoing: OutgoingPieces } | undefined;

  constructor(pieces?: Relations["pieces"]) {
    this.pieces = pieces;
  }

  /** Has a monitor that still waits end with `reason`, as soon as it is its turn. */
  endWaiting(ref: Reference, reason: TermBody): void {
    const key = monitorKey(ref);
    if (this.waiting.has(key)) this.waiting.set(key, reason);
  }

  get size(): number {
    return this.links.size + this.watched.size + this.watching.size + this.spawns.size;
  }
}

/** Whether a connection has all the links and monitors that it may have. */
export function isFull(relations: Relations, { limits }: RouterContext): boolean {
  return relations.size >= limits.maxRelations;
}

/** What the signals of a monitor are about keeps its meaning as long as it lasts. */
export function holdMonitor({ here, there, shown, watcherThere, refThere }: MonitorRecord): void {
  if (shown instanceof Pid) here.hold(shown);
  there.hold(watcherThere);
  there.hold(refThere);
}

/** Takes back {@link holdMonitor}. */
export function releaseMonitor({ here, there, shown, watcherThere, refThere }: MonitorRecord): void {
  if (shown instanceof Pid) here.release(shown);
  there.release(watcherThere);
  there.release(refThere);
}

/** What the signals of a link are about keeps its meaning as long as it lasts. */
export function holdLink({ ends }: LinkRecord): void {
  for (const { index, other } of ends) index.hold(other);
}

/** Takes back {@link holdLink}. */
export function releaseLink({ ends }: LinkRecord): void {
  for (const { index, other } of ends) index.release(other);
}

/** Identifies a link at the connection of `own`. */
export function linkKey(own: Pid, other: Pid): string {
  return `${own.id}.${own.serial}.${own.creation} ${other.id}.${other.serial}.${other.creation}`;
}

/** Identifies a monitor at a connection by the reference as that node knows it. */
export function monitorKey({ words, creation }: Reference): string {
  // three words nearly always; joining an array would make another
  return words.length === 3
    ? `${creation} ${words[0]} ${words[1]} ${words[2]}`
    : `${creation} ${words.join(" ")}`;
}
