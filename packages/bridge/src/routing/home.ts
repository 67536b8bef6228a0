import type { Connection, HiddenNode } from "@isthmus/core";
import { type Atom, Pid } from "@isthmus/etf";
import { isLimit } from "../translate/not-carried.ts";
import type { Lane } from "./context.ts";

/**
 * Our node in the cluster that `lane` leads to under whose name the sender of a signal is shown there: the bridge's own,
 * or the mirror of the sender's node. What goes there must go over its connections.
 */
export function homeOf(
  { to, translator }: Lane,
  source: Connection,
  sender: Pid | Atom | undefined,
): HiddenNode {
  if (to.mirrors.size === 0) return to.node;
  try {
    const { node, each } =
      sender instanceof Pid
        ? translator.identity(sender.node, sender.creation)
        : translator.identity(source.peer, source.peerCreation);
    const shown = each !== undefined && sender instanceof Pid ? translator.pid(sender).node : node;
    return to.mirrors.get(shown) ?? to.node;
  } catch (error) {
    // it will not be carried, and that is answered where it is tried
    if (isLimit(error)) return to.node;
    throw error;
  }
}
