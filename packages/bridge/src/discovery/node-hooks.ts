import type { HiddenNode } from "@isthmus/core";
import type { ClusterHooks } from "@isthmus/strategies";

/**
 * Hooks with which a topology of `@isthmus/strategies` keeps a hidden node of this process connected:
 *
 * ```ts
 * await startCluster({ hooks: nodeHooks(node), topologies: { shop: { strategy: epmd({ hosts }) } } });
 * ```
 *
 * It dials with the limits and codes of `HiddenNode.connect`, counts connections that others have made as well, and
 * leaves the node running when the topology ends.
 */
export function nodeHooks(node: HiddenNode): ClusterHooks {
  return {
    self: node.name,
    connect: (name, signal) => node.connect(name, { signal }),
    disconnect: async (name) => {
      node.disconnect(name);
    },
    listNodes: () => node.nodes().map((connected) => connected.node),
    onNodeUp: (listener) =>
      node.onNodeEvent((event) => {
        if (event.type === "up") listener(event.node);
      }),
    onNodeDown: (listener) =>
      node.onNodeEvent((event) => {
        if (event.type === "down") listener(event.node, event.reason);
      }),
  };
}
