import { epmdEnvironment, listNames } from "@isthmus/epmd-client";
import { EXIT } from "../exit-status.ts";

/** `isthmus names`: what `epmd -names` shows, of any host. */
export async function names(host: string, port: string | undefined): Promise<number> {
  const number = port === undefined ? epmdEnvironment().port : Number(port);
  if (!Number.isInteger(number) || number < 1 || number > 65_535) {
    console.error(`isthmus: ${port} is not a port number, 1 to 65535.`);
    return EXIT.USAGE;
  }
  const { nodes } = await listNames({ host, port: number });
  for (const { name, port: at } of nodes) console.log(`${name} at port ${at}`);
  if (nodes.length === 0) console.log(`epmd at ${host}:${number} knows no node.`);
  return EXIT.OK;
}
