import { Atom, atom, Pid, Reference } from "@isthmus/etf";
import type { Process } from "./process.ts";

/** A process registered under a name, on the given node or ours. */
export interface NamedProcess {
  readonly name: string | Atom;
  /** @default our own node */
  readonly node?: string | Atom | undefined;
}

/** Whom to monitor or call: a pid, a local process, or a registered name, local when it is a plain string or atom. */
export type ProcessAddress = Pid | Process | string | Atom | NamedProcess;

/** Whom to send to: as {@link ProcessAddress}, or an alias. */
export type Address = ProcessAddress | Reference;

/** A name on a node, both interned. */
export interface ResolvedName {
  readonly name: Atom;
  readonly node: Atom;
}

/** An atom from itself or its text. */
export function toAtom(text: string | Atom): Atom {
  return typeof text === "string" ? atom(text) : text;
}

/** A pid, an alias, or a name with its node. */
export function resolveAddress(address: Address, self: Atom): Pid | Reference | ResolvedName {
  if (address instanceof Pid || address instanceof Reference) return address;
  if (typeof address === "string" || address instanceof Atom) return { name: toAtom(address), node: self };
  if ("pid" in address) return address.pid;
  return { name: toAtom(address.name), node: address.node === undefined ? self : toAtom(address.node) };
}

/** As {@link resolveAddress}, for what can be monitored. */
export function resolveProcess(address: ProcessAddress, self: Atom): Pid | ResolvedName {
  return resolveAddress(address, self) as Pid | ResolvedName;
}

/** For sentences: `<a@host.5.0>`, `{orders, a@host}`. */
export function addressText(address: Pid | Reference | ResolvedName): string {
  if (address instanceof Pid) return `<${address.node.text}.${address.id}.${address.serial}>`;
  if (address instanceof Reference) return `an alias of ${address.node.text}`;
  return `{${address.name.text}, ${address.node.text}}`;
}
