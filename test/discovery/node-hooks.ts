import type { HiddenNode } from "@isthmus/core";
import type { ClusterHooks } from "@isthmus/strategies";

/** Hooks that connect a hidden node of ours. */
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
