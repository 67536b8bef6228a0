import { epmdEnvironment, listNames } from "@isthmus/epmd-client";
import { printable } from "../../log.ts";
import { EXIT } from "../exit-status.ts";

/**
 * `isthmus names`: what `epmd -names` shows, of any host. One line for each node on standard output; that there is none
 * is said on standard error.
 */
export async function names(host: string, port: number = epmdEnvironment().port): Promise<number> {
  const { nodes } = await listNames({ host, port });
  for (const node of nodes) console.log(`${printable(node.name)} at port ${node.port}`);
  if (nodes.length === 0) console.error(`epmd at ${host}:${port} knows no node.`);
  return EXIT.OK;
}
