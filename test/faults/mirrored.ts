import { ENDING, mirrorLoad, otherSide, ownCluster, routeLoad, type Side } from "./configuration.ts";
import type { Member } from "./member.ts";
import type { Arrangement } from "./sides.ts";

const SIDES: readonly Side[] = ["a", "b"];

/**
 * The configuration of a bridge that mirrors nodes.
 * @param shown the sides that see the other's nodes
 * @param routed the sides that use names of the other by routes
 */
export function mirroring(
  members: readonly Member[],
  address: string,
  shown: readonly Side[],
  routed: readonly Side[] = [],
): string[] {
  const between = (from: Side): string => `from: ${from}, to: ${otherSide(from)}`;
  const routes = members
    .filter(({ cluster }) => routed.includes(otherSide(cluster)))
    .map(
      ({ cluster, name, node }) =>
        `  - { ${between(otherSide(cluster))}, name: checker, as: ${name}, node: ${node} }`,
    );
  return [
    ...["clusters:", ...SIDES.flatMap((side) => ownCluster(side, members, address))],
    ...(routes.length === 0 ? [] : ["routes:", ...routes]),
    ...["mirrors:", ...shown.map((side) => `  - { ${between(side)} }`)],
    ...["policy:", ...shown.map((side) => `  - { action: allow, ${between(side)}, names: checker }`)],
    ...ENDING,
  ];
}

/** One bridge, through which these sides see the other's nodes as nodes of their own, and the others use routes. */
function mirrored(shown: readonly Side[]): Arrangement {
  const isShown = ({ cluster }: Member): boolean => shown.includes(cluster);
  const routed = SIDES.filter((side) => !shown.includes(side));
  return {
    hosts: 1,
    between(members, [host]) {
      const { address } = host!;
      const peer = (member: Member, { id, name }: Member): string =>
        isShown(member) ? `{checker,'${id}@${address}'}` : `{${name},'bridge_${member.cluster}@${address}'}`;
      return {
        bridges: [
          {
            title: "the bridge",
            host: host!,
            configuration: mirroring(members, address, shown, routed),
          },
        ],
        peersOf: (member) =>
          members.filter(({ cluster }) => cluster !== member.cluster).map((far) => peer(member, far)),
        loadOf: (member) => (isShown(member) ? mirrorLoad() : routeLoad()),
      };
    },
  };
}

export const MIRRORED: Arrangement = mirrored(SIDES);
export const MIRRORED_ONE_WAY: Arrangement = mirrored(["a"]);
