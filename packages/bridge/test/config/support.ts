import { isIsthmusError } from "@isthmus/wire";
import type { BridgeConfig } from "../../src/config/config.ts";
import type { OwnClusterOptions } from "../../src/options.ts";

/** The message with which a configuration is refused; empty when it is taken. */
export async function refusalOf(parsed: Promise<unknown>): Promise<string> {
  try {
    await parsed;
  } catch (error) {
    if (isIsthmusError(error) && error.code === "CONFIG_INVALID") return error.message;
    throw error;
  }
  return "";
}

/** A cluster that the bridge is in. */
export function ownCluster(clusters: BridgeConfig["clusters"], id: string): OwnClusterOptions {
  const cluster = clusters[id]!;
  if ("site" in cluster) throw new Error(`${id} is of another site`);
  return cluster;
}
