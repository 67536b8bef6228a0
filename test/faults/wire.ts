import type { NetworkHost } from "../support/network-namespaces.ts";

/** Commands of nft, in a table of their own: of a host, to itself. */
const CUT = "faults_cut";
const RESETS = "faults_resets";

const table = (name: string): string[] => [
  `add table inet ${name}`,
  `delete table inet ${name}`,
  `add table inet ${name}`,
  `add chain inet ${name} in { type filter hook input priority 0; }`,
  `add chain inet ${name} out { type filter hook output priority 0; }`,
];
const cutting = (others: readonly NetworkHost[]): string =>
  [
    ...table(CUT),
    ...others.flatMap(({ address }) => [
      `add rule inet ${CUT} in ip saddr ${address} drop`,
      `add rule inet ${CUT} out ip daddr ${address} drop`,
    ]),
  ].join("; ");
const ending = (name: string): string => `delete table inet ${name}`;

/** Drops every packet between a host and others, until {@link mend}. */
export async function cut(host: NetworkHost, others: readonly NetworkHost[]): Promise<void> {
  await host.run("nft", cutting(others));
}

/** The same for so many seconds, whatever else the machine has to do meanwhile. */
export async function cutFor(
  host: NetworkHost,
  others: readonly NetworkHost[],
  seconds: number,
): Promise<void> {
  await host.run("sh", "-c", `nft '${cutting(others)}' && sleep ${seconds} && nft '${ending(CUT)}'`);
}

/** Ends {@link cut}. */
export async function mend(host: NetworkHost): Promise<void> {
  await host.run("nft", ending(CUT));
}

/**
 * Of so many packets that a host sends to a port one, by chance, does not get there: its connection is reset, and the
 * other end hears of that when it sends something.
 */
export async function resetAtRandom(host: NetworkHost, port: number, packets: number): Promise<void> {
  const rule = `tcp dport ${port} numgen random mod ${packets} == 0 reject with tcp reset`;
  await host.run("nft", [...table(RESETS), `add rule inet ${RESETS} out ${rule}`].join("; "));
}

/** Ends {@link resetAtRandom}. */
export async function resetNoMore(host: NetworkHost): Promise<void> {
  await host.run("nft", ending(RESETS));
}
