import { atom, Pid, type Term, TermMap, Tuple, tuple } from "@isthmus/etf";
import { GEN_CAST, isCast } from "../calls/gen-messages.ts";

// What the scope processes of pg say to each other (PROTOCOL section 9; kernel pg.erl, and data_publisher.erl of OTP 29).

const DISCOVER = atom("discover");
const SYNC = atom("sync");
const LOCAL_DATA = atom("local_data");
const JOIN = atom("join");
const LEAVE = atom("leave");
const UPDATE = atom("update");

/** The newest version of the protocol that there is, that of OTP 29. Version 0 is that of OTP 23 to 28. */
export const NEWEST_VERSION = 1;

/** Members that join and leave one group. */
export interface Change {
  readonly group: Term;
  readonly add: readonly Pid[];
  readonly remove: readonly Pid[];
}

/** What a scope process of another node says; `peer` is that process. */
export type PgMessage =
  | { readonly type: "discover"; readonly peer: Pid; readonly version: number }
  | {
      readonly type: "sync";
      readonly peer: Pid;
      readonly groups: readonly (readonly [Term, readonly Pid[]])[];
    }
  | { readonly type: "update"; readonly peer: Pid; readonly changes: readonly Change[] };

/** Reads a message to a scope process; undefined for anything that is none. Never throws. */
export function readMessage(message: Term): PgMessage | undefined {
  const content = isCast(message) ? message.elements[1] : message;
  if (!(content instanceof Tuple)) return undefined;
  const [kind, peer, a, b] = content.elements;
  if (!(peer instanceof Pid)) return undefined;
  const { size } = content;
  if (kind === DISCOVER && size === 2) return { type: "discover", peer, version: 0 };
  if (kind === DISCOVER && size === 3) return { type: "discover", peer, version: version(a) };
  if (kind === SYNC && size === 3) return sync(peer, pairs(a));
  if (kind === LOCAL_DATA && size === 4) return sync(peer, b instanceof TermMap ? [...b] : undefined);
  if (kind === JOIN && size === 4) return update(peer, [change(a, b, [])]);
  if (kind === LEAVE && size === 4) {
    return update(peer, Array.isArray(b) ? b.map((group) => change(group, [], a)) : undefined);
  }
  if (kind === UPDATE && size === 3) return update(peer, Array.isArray(a) ? a.map(changeOf) : undefined);
  return undefined;
}

/** Asks for everything, and to be told further on. OTP 23 to 25 die of a version, so there is none unless it is known. */
export function discover(self: Pid, version: number): Tuple {
  return version === 0 ? tuple(DISCOVER, self) : tuple(DISCOVER, self, version);
}

/** Everything that `self` has. */
export function allGroups(
  self: Pid,
  version: number,
  groups: readonly (readonly [Term, readonly Pid[]])[],
): Tuple {
  const content =
    version === 0
      ? tuple(
          SYNC,
          self,
          groups.map(([group, pids]) => tuple(group, pids)),
        )
      : tuple(LOCAL_DATA, self, version, new TermMap(groups));
  return tuple(GEN_CAST, content);
}

/** The messages that tell of changes. */
export function changed(self: Pid, version: number, changes: readonly Change[]): Tuple[] {
  if (version > 0) {
    return [
      tuple(
        UPDATE,
        self,
        changes.map(({ group, add, remove }) => tuple(group, add, remove)),
      ),
    ];
  }
  return changes.flatMap(({ group, add, remove }) => [
    ...(add.length > 0 ? [tuple(JOIN, self, group, add)] : []),
    ...(remove.length > 0 ? [tuple(LEAVE, self, remove, [group])] : []),
  ]);
}

function version(term: Term | undefined): number {
  return typeof term === "number" && term >= NEWEST_VERSION ? NEWEST_VERSION : 0;
}

function sync(peer: Pid, entries: readonly (readonly [Term, Term])[] | undefined): PgMessage | undefined {
  const groups: (readonly [Term, readonly Pid[]])[] = [];
  for (const [group, members] of entries ?? []) {
    const pids = pidList(members);
    if (pids === undefined) return undefined;
    groups.push([group, pids]);
  }
  return entries === undefined ? undefined : { type: "sync", peer, groups };
}

function update(peer: Pid, changes: readonly (Change | undefined)[] | undefined): PgMessage | undefined {
  if (changes === undefined || !changes.every((each) => each !== undefined)) return undefined;
  return { type: "update", peer, changes };
}

function changeOf(term: Term): Change | undefined {
  if (!(term instanceof Tuple) || term.size !== 3) return undefined;
  const [group, add, remove] = term.elements;
  return change(group, add, remove);
}

function change(
  group: Term | undefined,
  add: Term | undefined,
  remove: Term | undefined,
): Change | undefined {
  const added = pidList(add);
  const removed = pidList(remove);
  if (group === undefined || added === undefined || removed === undefined) return undefined;
  return { group, add: added, remove: removed };
}

function pairs(term: Term | undefined): [Term, Term][] | undefined {
  if (!Array.isArray(term)) return undefined;
  const found: [Term, Term][] = [];
  for (const pair of term) {
    if (!(pair instanceof Tuple) || pair.size !== 2) return undefined;
    found.push([pair.elements[0] as Term, pair.elements[1] as Term]);
  }
  return found;
}

/** A pid, or a list of pids. */
function pidList(term: Term | undefined): readonly Pid[] | undefined {
  if (term instanceof Pid) return [term];
  return Array.isArray(term) && term.every((each) => each instanceof Pid) ? term : undefined;
}
