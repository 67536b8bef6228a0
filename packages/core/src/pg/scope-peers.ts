import type { Atom, Pid, Reference, Term } from "@isthmus/etf";
import type { HiddenNode } from "../node/node.ts";
import { samePid } from "../process/identity.ts";
import type { Process } from "../process/process.ts";
import { groupKey } from "./group-key.ts";
import { type Groups, Holder } from "./groups.ts";
import { allGroups, type Change, changed, discover, type PgMessage } from "./messages.ts";
import type { CompletePgOptions } from "./options.ts";

/** What pg needs of a node. */
export type PgNode = Pick<HiddenNode, "name" | "processes" | "nodes" | "connection" | "onNodeEvent">;

/** The scope process of another node. */
interface Peer {
  readonly pid: Pid;
  readonly monitor: Reference;
  readonly holder: Holder;
  /** Of the protocol; 0 until it shows a newer one. */
  version: number;
  /** It has asked for our members and got them; before that it is told of no change: OTP 23 to 27 die of some. */
  told: boolean;
  /** That it goes beyond a limit was logged. */
  limitLogged: boolean;
}

/** What {@link ScopePeers} needs. */
export interface ScopePeersOptions extends CompletePgOptions {
  readonly node: PgNode;
  /** Our scope process. */
  readonly process: Process;
  readonly groups: Groups;
  /** The members of our node. */
  readonly own: Holder;
  /** A peer is gone, and its members have left. */
  readonly onGone: () => void;
}

/**
 * The scope processes of the other nodes: asks them for their members, takes what they say, tells them what changes
 * here. They do not see a hidden node coming, so it is always we who ask first; from then on they treat us as one of
 * theirs.
 */
export class ScopePeers {
  readonly #options: ScopePeersOptions;
  readonly #peers = new Map<Atom, Peer>();

  constructor(options: ScopePeersOptions) {
    this.#options = options;
  }

  /** The nodes whose scope process is known. */
  nodes(): Atom[] {
    return [...this.#peers.keys()];
  }

  /** Asks a connected node for its members, unless it has asked us: it does when it begins to know us. */
  discover(node: Atom): void {
    const { process, scope } = this.#options;
    const peer = this.#peers.get(node);
    if (peer?.told === true || !this.#isConnected(node)) return;
    process.send({ name: scope, node }, discover(process.pid, peer?.version ?? 0));
  }

  /** @throws IsthmusError when a name of a group cannot be taken, and then nothing has changed */
  receive(message: PgMessage): void {
    const { groups } = this.#options;
    const known = this.#known(message.peer);
    if (message.type === "discover") {
      this.#discovered(message.peer, known, message.version);
    } else if (message.type === "sync") {
      const wanted = new Map(message.groups.map(([group, pids]) => [groupKey(group), pids]));
      const peer = known ?? this.#add(message.peer);
      if (peer !== undefined) this.#limited(peer, groups.replace(peer.holder, wanted));
    } else if (known !== undefined) {
      const changes = message.changes.map((change) => ({ ...change, key: groupKey(change.group) }));
      for (const { key, add, remove } of changes) {
        this.#limited(known, groups.add(known.holder, key, add));
        groups.remove(known.holder, key, remove);
      }
    }
  }

  /** Tells all peers what changed among our members. */
  announce(changes: readonly Change[]): void {
    const self = this.#options.process.pid;
    for (const peer of this.#peers.values()) {
      if (!peer.told) continue;
      for (const message of changed(self, peer.version, changes)) this.#send(peer, message);
    }
  }

  /** Forgets all. */
  close(): void {
    for (const peer of [...this.#peers.values()]) this.#drop(peer);
  }

  #discovered(pid: Pid, known: Peer | undefined, version: number): void {
    const { process, groups, own } = this.#options;
    const peer = known ?? this.#add(pid);
    if (peer === undefined) return;
    peer.version = version;
    const all = Array.from(own.groups.keys(), (key) => [groups.name(key), groups.members(key, own)] as const);
    this.#send(peer, allGroups(process.pid, version, all));
    peer.told = true;
    if (known === undefined) this.#send(peer, discover(process.pid, version));
  }

  #known(pid: Pid): Peer | undefined {
    const peer = this.#peers.get(pid.node);
    return peer !== undefined && samePid(peer.pid, pid) ? peer : undefined;
  }

  /** A node has one scope process at a time, and only nodes that are connected have one: nobody makes us dial. */
  #add(pid: Pid): Peer | undefined {
    const { process, node } = this.#options;
    if (pid.node.text === node.name || !this.#isConnected(pid.node)) return undefined;
    const before = this.#peers.get(pid.node);
    if (before !== undefined) {
      process.demonitor(before.monitor);
      this.#drop(before);
    }
    const onDown = (): void => {
      this.#drop(peer);
      this.#options.onGone();
    };
    const monitor = process.monitor(pid, { onDown });
    const holder = new Holder(pid.node.text, this.#options);
    const peer: Peer = { pid, monitor, holder, version: 0, told: false, limitLogged: false };
    this.#peers.set(pid.node, peer);
    return peer;
  }

  #drop(peer: Peer): void {
    this.#peers.delete(peer.pid.node);
    this.#options.groups.replace(peer.holder, new Map());
  }

  #limited(peer: Peer, refused: number): void {
    if (refused === 0 || peer.limitLogged) return;
    peer.limitLogged = true;
    const { scope, maxMembers, maxNameBytes, logger } = this.#options;
    logger.warn(
      { scope: scope.text, node: peer.pid.node.text, refused, maxMembers, maxNameBytes },
      "a node has more members in process groups than is allowed: the others are left out",
    );
  }

  #send(peer: Peer, message: Term): void {
    if (this.#isConnected(peer.pid.node)) this.#options.process.send(peer.pid, message);
  }

  #isConnected(node: Atom): boolean {
    return this.#options.node.connection(node) !== undefined;
  }
}
