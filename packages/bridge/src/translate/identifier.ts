import { Pid, Port, Reference } from "@isthmus/etf";
import type { Identity } from "@isthmus/etf/raw";

/** What belongs to one incarnation of a node. */
export type Identifier = Pid | Port | Reference;

/** A pid as the key of a `Map`: the same for equal pids. */
export function pidKey({ node, id, serial, creation }: Pid): string {
  return `${id}.${serial}.${creation} ${node.text}`;
}

/** The same numbers under another node and creation. */
export function withIdentity<T extends Identifier>(identifier: T, identity: Identity): T;
export function withIdentity(identifier: Identifier, { node, creation }: Identity): Identifier {
  switch (identifier.kind) {
    case "pid":
      return new Pid(node, identifier.id, identifier.serial, creation);
    case "port":
      return new Port(node, identifier.id, creation);
    default:
      return new Reference(node, creation, identifier.words);
  }
}
