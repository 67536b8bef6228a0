/**
 * What an acceptor answers that has itself an attempt running to the node that calls: of two attempts the one made by
 * the node with the greater name survives, so the acceptor refuses when its own name is greater
 * (protocol 2.2; `net_kernel` accept_pending).
 * @param local our node name, that of the acceptor
 * @param peer the caller's node name
 */
export function simultaneousDecision(local: string, peer: string): "nok" | "ok_simultaneous" {
  return compareAtoms(local, peer) > 0 ? "nok" : "ok_simultaneous";
}

/** Erlang's order of atoms is that of their code points; JavaScript's `<` is that of UTF-16 units. */
function compareAtoms(left: string, right: string): number {
  const a = [...left];
  const b = [...right];
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = a[i]!.codePointAt(0)! - b[i]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
