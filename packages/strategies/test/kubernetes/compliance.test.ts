import { kubernetes } from "../../src/kubernetes/index.ts";
import { strategyCompliance } from "../compliance.ts";
import { endpoints, pod, slice } from "./objects.ts";
import { workbench } from "./workbench.ts";

const bench = workbench();
const required = { nodeBasename: "shop", selector: "app=shop" };

for (const watch of [true, false]) {
  strategyCompliance(`kubernetes with${watch ? "" : "out"} a watch`, {
    async source() {
      const api = await bench().api();
      const serviceAccountPath = bench().serviceAccount().folder;
      api.put(slice("shop-x7k2p", [{ ip: "10.0.0.1" }, { ip: "10.0.0.2" }]));
      api.put(endpoints("shop", [{ ip: "10.0.0.9" }]));
      api.put(pod("shop-0", { ip: "10.0.0.8" }));
      return {
        nodes: ["shop@10.0.0.1", "shop@10.0.0.2"],
        make: () =>
          kubernetes({
            ...required,
            master: api.url,
            serviceAccountPath,
            watch,
            ipLookupMode: "endpoint_slices",
          }),
        fail: () => api.tokens.clear(),
        close: () => api.stop(),
      };
    },
    secrets: ["first-token"],
    badOptions: {
      "no selector": () => kubernetes.from({ nodeBasename: "shop" }),
      "no basename": () => kubernetes.from({ selector: "app=shop" }),
      "a basename that is none": () => kubernetes({ ...required, nodeBasename: "a@b" }),
      "a master with a password": () => kubernetes({ ...required, master: "https://me:first-token@host" }),
    },
  });
}
