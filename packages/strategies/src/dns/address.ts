import { isIPv6, SocketAddress } from "node:net";

/**
 * An IP address as `inet:ntoa` writes it, which is what stands in node names: in lower case, the longest run of zeros
 * left out. Anything else is given back as it is.
 */
export function canonicalAddress(address: string): string {
  return isIPv6(address) ? new SocketAddress({ address, family: "ipv6" }).address : address;
}
