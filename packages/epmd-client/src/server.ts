import { isIP, isIPv6 } from "node:net";
import { isIsthmusError } from "@isthmus/wire";
import { listNames } from "./client.ts";
import { EmbeddedEpmd, type EpmdServer, type EpmdServerOptions } from "./embedded-server.ts";
import { epmdEnvironment } from "./environment.ts";
import { epmdError } from "./errors.ts";
import { checkInteger } from "./node-info.ts";

const LOOPBACK = ["127.0.0.1", "::1"];
/** With port 0, how often another port is tried because the first is taken on another address. */
const FREE_PORT_ATTEMPTS = 20;
const ENSURE_ATTEMPTS = 3;

/**
 * Starts an epmd in this process. BEAM nodes of every release register with it and find each other through it.
 * @throws IsthmusError `EPMD_PORT_IN_USE`, `EPMD_LISTEN_FAILED`, `EPMD_OPTIONS_INVALID`, `EPMD_ENVIRONMENT_INVALID`
 */
export async function startEpmdServer(options: EpmdServerOptions = {}): Promise<EpmdServer> {
  const environment = epmdEnvironment();
  const port = checkInteger("port", options.port ?? environment.port, 0, 65535);
  const wanted = options.addresses ?? environment.addresses;
  for (const address of wanted) {
    if (isIP(address) === 0) {
      throw epmdError(
        "EPMD_OPTIONS_INVALID",
        `${JSON.stringify(address)} is not an IP address to listen on.`,
      );
    }
  }
  const addresses = [
    ...new Set([...LOOPBACK.filter((own) => !wanted.includes(isIPv6(own) ? "::" : "0.0.0.0")), ...wanted]),
  ];
  const server = new EmbeddedEpmd({
    ...options,
    relaxedCommandCheck: options.relaxedCommandCheck ?? environment.relaxedCommandCheck,
  });
  for (let attempt = 1; ; attempt++) {
    try {
      await server.listen(addresses, port, wanted);
      return server;
    } catch (error) {
      const again = port === 0 && attempt < FREE_PORT_ATTEMPTS;
      if (!(again && isIsthmusError(error) && error.code === "EPMD_PORT_IN_USE")) throw error;
    }
  }
}

/**
 * Starts an epmd unless there is one: `undefined` when another answers on the port, also when it was quicker.
 * @throws IsthmusError `EPMD_PORT_IN_USE` when something that is not epmd has the port; as {@link startEpmdServer}
 */
export async function ensureEpmdServer(options: EpmdServerOptions = {}): Promise<EpmdServer | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startEpmdServer(options);
    } catch (error) {
      if (!isIsthmusError(error) || error.code !== "EPMD_PORT_IN_USE") throw error;
      try {
        await listNames({ port: options.port ?? epmdEnvironment().port });
        return undefined;
      } catch (reason) {
        // The one that was there may just have ended, or not listen yet.
        const unreachable = isIsthmusError(reason) && reason.code === "EPMD_UNREACHABLE";
        if (unreachable && attempt < ENSURE_ATTEMPTS) continue;
        throw epmdError("EPMD_PORT_IN_USE", `${error.message} What has it does not answer as epmd does.`, {
          cause: reason,
          context: error.context,
        });
      }
    }
  }
}
