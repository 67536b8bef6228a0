import { requireNats } from "../support/nats.ts";
import type { NetworkHost } from "../support/network-namespaces.ts";
import { ENDING, GROUPS, groupLoad, otherSide, ownCluster, type Side } from "./configuration.ts";
import type { Member } from "./member.ts";
import { Program } from "./program.ts";
import type { Arrangement, Between } from "./sides.ts";

/** Port of the trunk, WebSocket or NATS. */
export const TRUNK_PORT = 8443;

/**
 * Milliseconds: a silent wire is given up long before nodes count as lost, and what was under way not before a wire can
 * be there again.
 */
const LIMITS = "{ keep_alive_ms: 400, silence_ms: 1500, handshake_ms: 1000, grace_ms: 8000 }";
const SECRET = "the same for both of these sites";

/** Lines of YAML: the bridge of one site, whose own cluster is `side`. */
function siteOf(side: Side, members: readonly Member[], address: string, trunk: readonly string[]): string[] {
  const far = otherSide(side);
  const routes = members.map(({ cluster, name, node }) =>
    cluster === side
      ? `  - { from: ${far}, to: ${side}, name: checker, as: ${name}, node: ${node} }`
      : `  - { from: ${side}, to: ${far}, name: ${name} }`,
  );
  return [
    ...["clusters:", ...ownCluster(side, members, address), `  ${far}: { site: site_${far} }`],
    ...["routes:", ...routes],
    ...GROUPS,
    ...["trunk:", `  site: site_${side}`, ...trunk],
    ...ENDING,
  ];
}

function twoBridges(
  members: readonly Member[],
  hosts: readonly NetworkHost[],
  trunks: Readonly<Record<Side, readonly string[]>>,
): Between {
  const at = (side: Side): NetworkHost => hosts[side === "a" ? 0 : 1]!;
  return {
    // site a calls
    bridges: (["b", "a"] as const).map((side) => ({
      title: `the bridge of ${side}`,
      host: at(side),
      configuration: siteOf(side, members, at(side).address, trunks[side]),
    })),
    peersOf: ({ cluster }) =>
      members
        .filter((member) => member.cluster !== cluster)
        .map(({ name }) => `{${name},'bridge_${cluster}@${at(cluster).address}'}`),
    loadOf: groupLoad,
  };
}

/** A bridge beside each cluster, and a trunk over WebSocket between them. */
export const TWO_SITES: Arrangement = {
  hosts: 2,
  between(members, hosts) {
    const { address } = hosts[1]!;
    const known = `secret: "${SECRET}", limits: ${LIMITS}`;
    return twoBridges(members, hosts, {
      a: [
        "  sites:",
        `    site_b: { connect: "ws://${address}:${TRUNK_PORT}/trunk", proxy: false, ${known} }`,
      ],
      b: [`  listen: { host: ${address}, port: ${TRUNK_PORT} }`, ...["  sites:", `    site_a: { ${known} }`]],
    });
  },
};

/** A bridge beside each cluster, and a trunk over a nats-server on a host of its own between them. */
export const TWO_SITES_OVER_NATS: Arrangement = {
  hosts: 3,
  between(members, hosts) {
    const host = hosts[2]!;
    const url = `nats://${host.address}:${TRUNK_PORT}`;
    const known = `secret: "${SECRET}", limits: ${LIMITS}`;
    const nats = `  nats: { servers: ["${url}"], user: isthmus, password: of these tests }`;
    return {
      ...twoBridges(members, hosts, {
        a: [nats, "  sites:", `    site_b: { connect: "${url}", ${known} }`],
        b: [nats, "  sites:", `    site_a: { ${known} }`],
      }),
      programs: [
        new Program({
          title: "nats-server",
          host,
          command: requireNats(),
          args: [
            ...["-a", host.address, "-p", String(TRUNK_PORT)],
            ...["--user", "isthmus", "--pass", "of these tests"],
          ],
          up: "Server is ready",
        }),
      ],
    };
  },
};
