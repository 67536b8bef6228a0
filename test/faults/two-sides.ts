import { ENDING, GROUPS, groupLoad, otherSide, ownCluster } from "./configuration.ts";
import type { Arrangement } from "./sides.ts";

/** One bridge between the clusters, with routes and groups. */
export const ONE_BRIDGE: Arrangement = {
  hosts: 1,
  between(members, [host]) {
    const { address } = host!;
    const routes = members.map(
      ({ cluster, name, node }) =>
        `  - { from: ${otherSide(cluster)}, to: ${cluster}, name: checker, as: ${name}, node: ${node} }`,
    );
    const configuration = [
      ...["clusters:", ...ownCluster("a", members, address), ...ownCluster("b", members, address)],
      ...["routes:", ...routes],
      ...GROUPS,
      ...ENDING,
    ];
    return {
      bridges: [{ title: "the bridge", host: host!, configuration }],
      peersOf: ({ cluster }) =>
        members
          .filter((member) => member.cluster !== cluster)
          .map(({ name }) => `{${name},'bridge_${cluster}@${address}'}`),
      loadOf: groupLoad,
    };
  },
};
