import { type EpmdRequestOptions, listNames } from "@isthmus/epmd-client";
import { isNodeName } from "@isthmus/wire";
import { isMeant, type NamePattern } from "../name-pattern.ts";

/**
 * The full names of the nodes that an epmd knows, with `host` as the part after `@`. Names that do not match
 * `patterns`, or cannot be part of a node name, are left out.
 * @throws IsthmusError the codes of `listNames`
 */
export async function registeredNodes(
  epmd: EpmdRequestOptions,
  host: string,
  patterns: readonly NamePattern[] | undefined,
): Promise<string[]> {
  const { nodes } = await listNames(epmd);
  return nodes
    .filter(({ name }) => isMeant(name, patterns))
    .map(({ name }) => `${name}@${host}`)
    .filter(isNodeName);
}
