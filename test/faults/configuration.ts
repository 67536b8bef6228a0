import type { Member } from "./member.ts";
import { TICK_SECONDS } from "./member.ts";

/** Names of the two clusters. */
export type Side = "a" | "b";

export const otherSide = (side: Side): Side => (side === "a" ? "b" : "a");

/** Lines of YAML: a bridge's place in the cluster of these members. */
export function ownCluster(side: Side, members: readonly Member[], address: string): string[] {
  const own = members.filter(({ cluster }) => cluster === side);
  return [
    `  ${side}:`,
    `    node: bridge_${side}@${address}`,
    `    cookie: ${own[0]!.cookie}`,
    `    listen: { host: ${address} }`,
    "    epmd: { embedded: never }",
    `    discovery: { hosts: [${own.map(({ node }) => node)}] }`,
    `    tick_time: ${TICK_SECONDS}`,
  ];
}

/** Lines of YAML: groups of each side that have members on the other. */
export const GROUPS: readonly string[] = [
  "groups:",
  ...(["a", "b"] as const).flatMap((from) => {
    const to = otherSide(from);
    return [
      `  - { from: ${from}, to: ${to}, groups: "{checker,*}" }`,
      `  - { from: ${from}, to: ${to}, groups: checkers_${to}, form: fan_out }`,
    ];
  }),
];

/** Lines of YAML: what holds for every bridge. */
export const ENDING: readonly string[] = ["state_file: state", "shutdown: { drain_seconds: 1 }"];

/** Milliseconds between two steps of a client; messages in one step; every which message has a mebibyte. */
const LOAD = "interval => 100, burst => 5, big_every => 400";

/** The load of a member whose peers are seen by routes and groups; an Erlang term. */
export const groupLoad = ({ name, cluster }: Member): string =>
  `#{${LOAD}, groups => {${name}, checkers_${cluster}, checkers_${otherSide(cluster)}}}`;

/** The load of a member whose peers are seen by routes alone. */
export const routeLoad = (): string => `#{${LOAD}}`;

/** The load of a member whose peers are on mirrored nodes. */
export const mirrorLoad = (): string => `#{${LOAD}, nodes => true}`;
