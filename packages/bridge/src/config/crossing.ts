import type * as v from "valibot";
import { phoenixPubSub } from "../groups/phoenix-pubsub.ts";
import type { GroupOptions, MirrorOptions, RouteOptions } from "../options.ts";
import type { PolicyRule } from "../policy/rule.ts";
import type { groupSchema, mirrorSchema, routeSchema, ruleSchema } from "./crossing-schema.ts";
import { withoutUndefined } from "./without-undefined.ts";

/** A route as it is written. */
export function routeOptions(route: v.InferOutput<typeof routeSchema>): RouteOptions {
  const { node, nodes = node === undefined ? undefined : [node], ...same } = route;
  return withoutUndefined({ ...same, nodes });
}

/** Mirrored nodes as they are written. */
export function mirrorOptions(mirror: v.InferOutput<typeof mirrorSchema>): MirrorOptions {
  return withoutUndefined(mirror);
}

/** Groups as they are written; `phoenix_pubsub` is short for the groups of Phoenix.PubSub's adapter for `pg`. */
export function groupOptions(group: v.InferOutput<typeof groupSchema>): GroupOptions {
  const { phoenix_pubsub, max_members, max_members_per_group, ...same } = group;
  const { from, to } = group;
  const pubSub = phoenix_pubsub === undefined ? undefined : phoenixPubSub({ from, to, name: phoenix_pubsub });
  const given = withoutUndefined({
    ...same,
    maxMembers: max_members,
    maxMembersPerGroup: max_members_per_group,
  });
  // groups without any names are a problem that is told elsewhere
  return { groups: [], ...pubSub, ...given };
}

/** A rule as it is written. */
export function ruleOptions(rule: v.InferOutput<typeof ruleSchema>): PolicyRule {
  const { from_nodes, to_nodes, max_bytes, rate, ...same } = rule;
  return withoutUndefined({
    ...same,
    fromNodes: from_nodes,
    toNodes: to_nodes,
    maxBytes: max_bytes,
    rate: rate && { perSecond: rate.per_second, burst: rate.burst ?? rate.per_second },
  });
}
