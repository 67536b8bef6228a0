import type { Atom, Pid } from "@isthmus/etf";
import { pidKey } from "./identity.ts";

/** A link that is there (`unlinking` 0), or one whose end the peer has yet to acknowledge. */
interface Link {
  readonly peer: Pid;
  /** Id of the UNLINK_ID that we sent. */
  unlinking: number;
}

/**
 * The links of one process: the state machine of PROTOCOL section 7.1, one state per peer pid, which is absent,
 * linked, or unlinking with an id. Pure: methods say what is to be sent. Both ends agree once all signals have
 * arrived, whatever the order of what each did (with the old UNLINK of OTP 23, which has no acknowledgement, they may
 * not when both act at once).
 */
export class Links {
  readonly #links = new Map<string, Link>();
  #lastId = 0;

  /** Peers known, those in unlinking included. */
  get size(): number {
    return this.#links.size;
  }

  /** We link. @returns whether LINK is to be sent, and whether the peer was unknown */
  link(peer: Pid): { readonly send: boolean; readonly added: boolean } {
    const link = this.#links.get(pidKey(peer));
    if (link === undefined) return { send: true, added: this.#add(peer) };
    const send = link.unlinking !== 0;
    // an acknowledgement still on its way finds nothing that waits for it
    link.unlinking = 0;
    return { send, added: false };
  }

  /** LINK came. @returns whether the peer was unknown */
  linkArrived(peer: Pid): boolean {
    return !this.#links.has(pidKey(peer)) && this.#add(peer);
  }

  /** We unlink. @returns the id for UNLINK_ID; 0 when there is no link, and then nothing is sent */
  unlink(peer: Pid): number {
    const link = this.#links.get(pidKey(peer));
    if (link === undefined || link.unlinking !== 0) return 0;
    link.unlinking = ++this.#lastId;
    return link.unlinking;
  }

  /** UNLINK_ID or UNLINK came; the former is always to be acknowledged. @returns whether a link is gone */
  unlinkArrived(peer: Pid): boolean {
    const key = pidKey(peer);
    return this.#links.get(key)?.unlinking === 0 && this.#links.delete(key);
  }

  /** UNLINK_ID_ACK came, or will not come because the peer does not send it. @returns whether the peer is forgotten */
  ackArrived(peer: Pid, id: number | bigint): boolean {
    const key = pidKey(peer);
    const link = this.#links.get(key);
    return (
      link !== undefined &&
      link.unlinking !== 0 &&
      BigInt(id) === BigInt(link.unlinking) &&
      this.#links.delete(key)
    );
  }

  /** EXIT came. The link is gone in any case. */
  exitArrived(peer: Pid): { readonly deliver: boolean; readonly removed: boolean } {
    const key = pidKey(peer);
    const link = this.#links.get(key);
    return { deliver: link?.unlinking === 0, removed: this.#links.delete(key) };
  }

  /** Whether a link is there, one in unlinking not counted. */
  has(peer: Pid): boolean {
    return this.#links.get(pidKey(peer))?.unlinking === 0;
  }

  /** Those linked, without those in unlinking. */
  linked(): Pid[] {
    const pids: Pid[] = [];
    for (const { peer, unlinking } of this.#links.values()) if (unlinking === 0) pids.push(peer);
    return pids;
  }

  /** Forgets every pid of `node`. @returns those that were linked, and how many were known */
  dropNode(node: Atom): { readonly linked: readonly Pid[]; readonly known: number } {
    const linked: Pid[] = [];
    let known = 0;
    for (const [key, { peer, unlinking }] of this.#links) {
      if (peer.node !== node) continue;
      this.#links.delete(key);
      known++;
      if (unlinking === 0) linked.push(peer);
    }
    return { linked, known };
  }

  #add(peer: Pid): true {
    this.#links.set(pidKey(peer), { peer, unlinking: 0 });
    return true;
  }
}
