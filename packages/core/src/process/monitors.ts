import type { Atom, Pid, Reference } from "@isthmus/etf";
import type { ResolvedName } from "./address.ts";
import { referenceKey } from "./identity.ts";
import type { AliasMode, Down } from "./process.ts";

/** A monitor that this process holds. */
export interface Monitor {
  readonly ref: Reference;
  readonly target: Pid | ResolvedName;
  readonly node: Atom;
  readonly alias: AliasMode | undefined;
  readonly onDown: ((down: Down) => void) | undefined;
}

/** Somebody who monitors this process. */
export interface Watcher {
  readonly pid: Pid;
  readonly ref: Reference;
  /** How it named us: our pid, or the registered name. */
  readonly via: Pid | Atom;
}

/** The monitors of one process in both directions (PROTOCOL 7.2). Pure. */
export class Monitors {
  /** Those held, by the number of their reference. */
  readonly held = new Map<number, Monitor>();
  /** Those on us, by the key of their reference. */
  readonly watchers = new Map<string, Watcher>();

  /** @returns false when that monitor was there already */
  watch(watcher: Watcher): boolean {
    const key = referenceKey(watcher.ref);
    if (this.watchers.has(key)) return false;
    this.watchers.set(key, watcher);
    return true;
  }

  unwatch(ref: Reference): Watcher | undefined {
    const key = referenceKey(ref);
    const watcher = this.watchers.get(key);
    this.watchers.delete(key);
    return watcher;
  }

  /** Forgets everything about `node`. @returns the monitors that were held, and how many relations are gone */
  dropNode(node: Atom): {
    readonly held: readonly Monitor[];
    readonly known: number;
    readonly byName: readonly Reference[];
  } {
    const held: Monitor[] = [];
    const byName: Reference[] = [];
    let known = 0;
    for (const [number, monitor] of this.held) {
      if (monitor.node !== node) continue;
      this.held.delete(number);
      held.push(monitor);
      known++;
    }
    for (const [key, { pid, ref, via }] of this.watchers) {
      if (pid.node !== node) continue;
      this.watchers.delete(key);
      if (!("id" in via)) byName.push(ref);
      known++;
    }
    return { held, known, byName };
  }
}
