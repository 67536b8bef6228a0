import type { Connection } from "@isthmus/core";
import type { Atom, Pid, Reference } from "@isthmus/etf";
import type { ExportedName } from "./exported-name.ts";

/** A monitor that goes across: who watches, and what. */
export interface MonitorRecord {
  /** Under which the watched connection keeps it: the reference as the watched node knows it. */
  readonly key: string;
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
  /** Set when it is by name. */
  readonly by: ExportedName<object> | undefined;
}

/** One end of a link that goes across. */
export interface LinkEnd {
  readonly connection: Connection;
  /** The process at this end, as its own node knows it. */
  readonly own: Pid;
  /** The process at the other end, as this node knows it. */
  readonly other: Pid;
  readonly key: string;
  /** An unlink that this end asked for and that the other node has not acknowledged yet. */
  unlinking: number | bigint | undefined;
}

/** A link that goes across. */
export interface LinkRecord {
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
  /** How the caller's node knows a process of the asked one. */
  readonly show: (made: Pid) => Pid;
}

/** What must be told to others when a connection is lost. */
export class Relations {
  /** Links with a process of this node at one end, by {@link linkKey}. */
  readonly links = new Map<string, LinkRecord>();
  /** Monitors of processes of this node, by {@link monitorKey}. */
  readonly watched = new Map<string, MonitorRecord>();
  /** Monitors that processes of this node hold. */
  readonly watching = new Set<MonitorRecord>();
  /** Requests that this node has not replied to, by {@link monitorKey}. */
  readonly spawns = new Map<string, SpawnRecord>();
  /** Connections that do not read because this one cannot take more. */
  readonly held = new Set<Connection>();

  get size(): number {
    return this.links.size + this.watched.size + this.watching.size + this.spawns.size;
  }
}

/** Identifies a link at the connection of `own`. */
export function linkKey(own: Pid, other: Pid): string {
  return `${own.id}.${own.serial}.${own.creation} ${other.id}.${other.serial}.${other.creation}`;
}

/** Identifies a monitor at the connection of what is watched. */
export function monitorKey(refThere: Reference): string {
  const words = refThere.words;
  // three words nearly always; joining an array would make another
  return words.length === 3
    ? `${refThere.creation} ${words[0]} ${words[1]} ${words[2]}`
    : `${refThere.creation} ${words.join(" ")}`;
}
