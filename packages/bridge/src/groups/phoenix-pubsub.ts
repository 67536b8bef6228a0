import { PHOENIX_PUBSUB_SCOPE } from "@isthmus/core";
import { atom, inspectTerm } from "@isthmus/etf";
import type { GroupOptions } from "../options.ts";

/** What {@link phoenixPubSub} needs. */
export interface PhoenixPubSubGroups {
  /** The cluster whose broadcasts are to be heard. */
  readonly from: string;
  /** The cluster that is to hear them. */
  readonly to: string;
  /** The server's name as in Elixir, `Shop.PubSub`; the same in both. */
  readonly name: string;
}

/**
 * Lets what is broadcast on a `Phoenix.PubSub` server (version 2, with its default adapter) in `from` be heard in `to`,
 * too: broadcasts cross once, whatever the number of nodes in `to`. For both directions, two of them.
 */
export function phoenixPubSub({ from, to, name }: PhoenixPubSubGroups): GroupOptions {
  const adapter = `${name.startsWith("Elixir.") ? name : `Elixir.${name}`}.Adapter`;
  // a pool has the same name with _2, _3 ...
  const groups = [inspectTerm(atom(adapter)), inspectTerm(atom(`${adapter}_*`))];
  return { from, to, scope: PHOENIX_PUBSUB_SCOPE, groups, form: "fan_out", named: true };
}
