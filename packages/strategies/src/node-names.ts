import { isIPv6, SocketAddress } from "node:net";
import { isNodeName } from "@isthmus/wire";
import { strategiesError } from "./errors.ts";

/**
 * The name of the node `basename` at an address or host name: `app@10.0.0.5`, `app@fd00::1`. An IPv6 address is taken
 * as it is written, without brackets.
 * @throws IsthmusError `STRATEGY_OPTIONS_INVALID` when that cannot be a node name
 */
export function nodeName(basename: string, host: string): string {
  const name = `${basename}@${host}`;
  if (isNodeName(name)) return name;
  throw strategiesError(
    "STRATEGY_OPTIONS_INVALID",
    `${JSON.stringify(name.slice(0, 300))} is not a node name. Correct the basename, or what gives the host.`,
    { context: { basename, host: host.slice(0, 300) } },
  );
}

/**
 * The names of the node `basename` at each host, without repeats. Hosts that cannot be part of a node name are left
 * out; `unusable` hears of them.
 */
export function nodeNames(
  basename: string,
  hosts: Iterable<string>,
  unusable: (host: string) => void = () => undefined,
): string[] {
  const names = new Set<string>();
  for (const host of hosts) {
    const name = `${basename}@${host}`;
    if (isNodeName(name)) names.add(name);
    else unusable(host);
  }
  return [...names];
}

/**
 * An IP address as `inet:ntoa` writes it, which is what stands in node names: in lower case, the longest run of zeros
 * left out. Anything else is given back as it is.
 */
export function canonicalAddress(address: string): string {
  return isIPv6(address) ? new SocketAddress({ address, family: "ipv6" }).address : address;
}
