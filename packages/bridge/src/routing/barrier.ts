import type { HiddenNode } from "@isthmus/core";

/** No process has this name. */
const NOBODY = "isthmus_nobody";

/**
 * Resolves when each of these nodes has taken all that `node` has sent to it until now, or is lost. What comes over one
 * connection is dealt with in order, so the answer to a monitor says that what went before it has arrived.
 */
export async function barrier(node: Pick<HiddenNode, "spawn">, peers: readonly string[]): Promise<void> {
  const process = node.spawn();
  const answers = peers.map(
    (peer) =>
      new Promise<void>((resolve) => {
        process.monitor({ name: NOBODY, node: peer }, { onDown: () => resolve() });
      }),
  );
  await Promise.all(answers);
  if (process.alive) process.exit();
}
