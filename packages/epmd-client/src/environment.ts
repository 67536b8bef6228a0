import { isIP } from "node:net";
import { epmdError } from "./errors.ts";

/** epmd's port when nothing else is said. */
export const DEFAULT_EPMD_PORT = 4369;

/** What epmd and BEAM nodes read from the environment. */
export interface EpmdEnvironment {
  /** `ERL_EPMD_PORT`, else 4369. */
  readonly port: number;
  /** `ERL_EPMD_ADDRESS`: IP addresses to listen on, separated by commas or spaces. Empty when not set. */
  readonly addresses: readonly string[];
  /** `ERL_EPMD_RELAXED_COMMAND_CHECK`: on when set, whatever its value. */
  readonly relaxedCommandCheck: boolean;
}

/**
 * Reads epmd's variables (erts `epmd.c`, `main`). Unlike epmd it does not pass over a value it cannot use.
 * @throws IsthmusError `EPMD_ENVIRONMENT_INVALID`
 */
export function epmdEnvironment(env: NodeJS.ProcessEnv = process.env): EpmdEnvironment {
  const port = env["ERL_EPMD_PORT"];
  if (
    port !== undefined &&
    port !== "" &&
    !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65535)
  ) {
    throw invalid("ERL_EPMD_PORT", port, "a port number from 1 to 65535");
  }
  const addresses = (env["ERL_EPMD_ADDRESS"] ?? "").split(/[ ,]+/).filter((address) => address !== "");
  for (const address of addresses) {
    if (isIP(address) === 0) throw invalid("ERL_EPMD_ADDRESS", address, "a list of IP addresses");
  }
  return {
    port: port === undefined || port === "" ? DEFAULT_EPMD_PORT : Number(port),
    addresses,
    relaxedCommandCheck: env["ERL_EPMD_RELAXED_COMMAND_CHECK"] !== undefined,
  };
}

function invalid(variable: string, value: string, wanted: string): Error {
  return epmdError(
    "EPMD_ENVIRONMENT_INVALID",
    `The environment variable ${variable} has ${JSON.stringify(value)}; it must be ${wanted}. Correct or remove it.`,
    { context: { variable, value } },
  );
}
