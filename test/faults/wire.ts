import type { NetworkHost } from "../support/network-namespaces.ts";

/** Names of tables of nft. */
const CUT = "faults_cut";
const RESETS = "faults_resets";

const table = (name: string): string[] => [
  `add table inet ${name}`,
  `delete table inet ${name}`,
  `add table inet ${name}`,
  `add chain inet ${name} in { type filter hook input priority 0; }`,
  `add chain inet ${name} out { type filter hook output priority 0; }`,
];
/** Nothing comes in from these: a rule about what goes out would tell the sender's TCP, and a wire does not. */
const deaf = (others: readonly NetworkHost[]): string =>
  [...table(CUT), ...others.map(({ address }) => `add rule inet ${CUT} in ip saddr ${address} drop`)].join(
    "; ",
  );
const ending = (name: string): string => `delete table inet ${name}`;

/** Runs `command` on both ends of the way between a host and others. */
async function onBothEnds(
  host: NetworkHost,
  others: readonly NetworkHost[],
  command: (end: NetworkHost, far: readonly NetworkHost[]) => Promise<unknown>,
): Promise<void> {
  await Promise.all([command(host, others), ...others.map((other) => command(other, [host]))]);
}

/** Loses every packet between a host and others, until {@link mend}. */
export function cut(host: NetworkHost, others: readonly NetworkHost[]): Promise<void> {
  return onBothEnds(host, others, (end, far) => end.run("nft", deaf(far)));
}

/** The same for so many seconds, whatever else the machine has to do meanwhile. */
export function cutFor(host: NetworkHost, others: readonly NetworkHost[], seconds: number): Promise<void> {
  return onBothEnds(host, others, (end, far) =>
    end.run("sh", "-c", `nft '${deaf(far)}' && sleep ${seconds} && nft '${ending(CUT)}'`),
  );
}

/** Ends {@link cut}. */
export function mend(host: NetworkHost, others: readonly NetworkHost[]): Promise<void> {
  return onBothEnds(host, others, (end) => end.run("nft", ending(CUT)));
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
