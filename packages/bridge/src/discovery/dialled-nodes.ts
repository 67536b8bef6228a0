import type { ReloadOptions } from "../options.ts";

/**
 * The nodes of a cluster that a bridge keeps connected to without being told by discovery: those that are listed, and
 * those that routes, mirrors and rules lead to, for to choose the first that is up one must know which are.
 * @param listed of the cluster's own options
 */
export function dialledNodes(
  cluster: string,
  listed: readonly string[],
  { routes, mirrors = [], policy = [] }: Pick<ReloadOptions, "routes" | "mirrors" | "policy">,
): string[] {
  const targets = routes.filter(({ to }) => to === cluster).flatMap(({ nodes = [] }) => nodes);
  const mirrored = mirrors.filter(({ to }) => to === cluster).flatMap(({ nodes = [] }) => nodes);
  const running = policy.filter(({ to }) => to?.includes(cluster)).flatMap(({ nodes = [] }) => nodes);
  // patterns lead to nobody in particular
  return [...new Set([...listed, ...targets, ...mirrored, ...running])].filter((node) => !node.includes("*"));
}
