import { createServer, type Server, type Socket } from "node:net";
import { epmdError } from "./errors.ts";

/**
 * Listens on one address; `undefined` when the host does not have it.
 * @throws IsthmusError `EPMD_PORT_IN_USE`, `EPMD_LISTEN_FAILED`
 */
export async function listenOn(
  address: string,
  port: number,
  onSocket: (socket: Socket) => void,
): Promise<Server | undefined> {
  const listener = createServer({ noDelay: true }, onSocket);
  try {
    await new Promise<void>((resolve, reject) => {
      // Stays for later: a failed accept, with too few file descriptors, must not end the process.
      listener.on("error", reject);
      listener.listen({ host: address, port, ipv6Only: true }, resolve);
    });
    return listener;
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code;
    if (reason === "EADDRNOTAVAIL" || reason === "EAFNOSUPPORT") return undefined;
    if (reason !== "EADDRINUSE") throw listenFailed(address, port, reason ?? String(error), error);
    throw epmdError(
      "EPMD_PORT_IN_USE",
      `Port ${port} of ${address} is taken, perhaps by another epmd. Use that one, or choose another port.`,
      { cause: error, context: { address, port } },
    );
  }
}

/** The error for an address that cannot be listened on. */
export function listenFailed(address: string, port: number, reason: string, cause?: unknown): Error {
  return epmdError("EPMD_LISTEN_FAILED", `Cannot listen on ${address}, port ${port}: ${reason}.`, {
    cause,
    context: { address, port },
  });
}
