import { joinedWith } from "./crossing-meaning.ts";
import { type Cluster, checkName, get, type MeaningInput, record, texts } from "./places.ts";
import type { KeyPath } from "./problem.ts";

/** Finds what is wrong between clusters of other sites, the clusters that they join, and the trunk. */
export function checkSites(input: MeaningInput, clusters: readonly Cluster[]): void {
  const { add, trunk } = input;
  const ours = clusters.filter(({ far }) => !far).map(({ id }) => id);
  const sites = Object.keys(record(get(trunk, "sites")));
  const seen = new Map<string, string>();
  const [own] = texts(input, get(trunk, "site"), ["trunk", "site"]);
  if (own !== undefined && sites.includes(own.text))
    add(["trunk", "sites", own.text], "is the name of this site; name the others here.", "key");
  for (const cluster of clusters) {
    if (!cluster.far) continue;
    const path: KeyPath = ["clusters", cluster.id];
    const [site] = texts(input, get(cluster.raw, "site"), [...path, "site"]);
    const [joins] = texts(input, get(cluster.raw, "joins"), [...path, "joins"]);
    if (trunk === undefined)
      add(
        [...path, "site"],
        "needs the key trunk in this file: which site this is, and the ways to others.",
        "key",
      );
    else if (site !== undefined) checkName(input, sites, site, "site");
    if (joins !== undefined) checkName(input, ours, joins, "cluster of this site");
    else if (get(cluster.raw, "joins") === undefined && ours.length > 1)
      add(path, `lacks the key joins: which of ${ours.join(", ")} it is joined with.`, "key");
    const joined = joinedWith(cluster, clusters);
    if (site === undefined || joined === undefined) continue;
    const theirs = get(cluster.raw, "as") ?? cluster.id;
    const key = JSON.stringify([site.text, joined, theirs]);
    const first = seen.get(key);
    if (first === undefined) seen.set(key, cluster.id);
    else add(path, `is ${String(theirs)} of ${site.text} once more: ${first} is that already.`, "key");
  }
}
