import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";
import { kubernetes } from "../../src/kubernetes/index.ts";
import { refuse, status } from "./api-server.ts";
import { type ApiObject, endpoints, pod, slice } from "./objects.ts";
import { passing, until, workbench } from "./workbench.ts";

// many connections with TLS, perhaps on a busy machine
vi.setConfig({ testTimeout: 20_000 });
const bench = workbench();

describe("options", () => {
  const minimal = { nodeBasename: "shop", selector: "app=shop" };

  it("may have libcluster's names and atoms, or ours", () => {
    kubernetes.from({
      kubernetes_node_basename: "shop",
      kubernetes_selector: "app=shop,tier in (web)",
      kubernetes_namespace: "prod",
      kubernetes_ip_lookup_mode: ":pods",
      mode: ":hostname",
      kubernetes_service_name: "shop-headless",
      kubernetes_cluster_name: "cluster",
      kubernetes_master: "kubernetes.default.svc",
      kubernetes_service_account_path: "/run/sa",
      kubernetes_use_cached_resources: true,
      polling_interval: 10_000,
    });
    kubernetes.from({ node_basename: "shop", selector: "app=shop", ip_lookup_mode: "endpoint_slices" });
    kubernetes({ ...minimal, ipLookupMode: "endpoint_slices", mode: "dns" });
  });

  it.each([
    [{ selector: "a=b" }, "nodeBasename"],
    [{ nodeBasename: "shop" }, "selector"],
    [{ ...minimal, nodeBasename: "sh@op" }, undefined],
    [{ ...minimal, mode: "ipv4" }, "mode"],
    [{ ...minimal, kubernetes_ip_lookup_mode: ":services" }, "kubernetes_ip_lookup_mode"],
    [{ ...minimal, namespace: "Not/A/Label" }, "namespace"],
    [{ ...minimal, master: "https://host/path" }, "master"],
    [{ ...minimal, certFile: "/x" }, "key_file"],
    [{ ...minimal, poling_interval: 5 }, "poling_interval"],
  ])("are checked: %j", (options, wrong) => {
    expect(() => kubernetes.from(options)).toThrow(
      expect.objectContaining({
        code: "STRATEGY_OPTIONS_INVALID",
        ...(wrong === undefined ? {} : { context: expect.objectContaining({ option: wrong }) }),
      }),
    );
  });
});

it("the documentation has every option, and no other", () => {
  const text = readFileSync(new URL("../../docs/kubernetes.md", import.meta.url), "utf8");
  const table = text.slice(text.indexOf("## Options"), text.indexOf("**Where the API is.**"));
  const documented = [...table.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, cell = ""]) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name),
  );
  const known = /It has (.*)\./.exec(refusal({ nodeBasename: "a", selector: "b", zzzzzzzzzzzz: 1 }))?.[1];
  expect(documented.sort()).toEqual(known?.split(", ").sort());
});

function refusal(options: Record<string, unknown>): string {
  try {
    kubernetes.from(options);
  } catch (error) {
    return (error as Error).message;
  }
  return "";
}

describe("a list", () => {
  it("of endpoints, by default, in our own namespace", async () => {
    const api = await bench().api();
    api.put(endpoints("shop", [{ ip: "10.244.1.17" }, { ip: "10.244.2.9", ready: false }]));
    api.put(endpoints("other", [{ ip: "10.244.9.9" }], { labels: { app: "other" } }));
    api.put(endpoints("shop", [{ ip: "10.244.8.8" }], { namespace: "elsewhere" }));
    const run = bench().start(api);
    await until(() => run.last !== undefined);
    expect(run.last).toEqual(["shop@10.244.1.17"]);
    expect(api.seen[0]).toMatchObject({
      path: "/api/v1/namespaces/default/endpoints",
      query: { labelSelector: "app=shop", limit: "500" },
      authorization: "Bearer first-token",
    });
    expect(api.seen[0]?.query).not.toHaveProperty("resourceVersion");
  });

  it.each([
    ["endpoint_slices", "ip", ["shop@10.244.1.1", "shop@10.244.1.2"]],
    [
      "endpoint_slices",
      "dns",
      ["shop@10-244-1-1.prod.pod.cluster.local", "shop@10-244-1-2.prod.pod.cluster.local"],
    ],
    ["endpoint_slices", "hostname", ["shop@shop-0.shop.prod.svc.cluster.local"]],
    ["endpoints", "hostname", ["shop@shop-0.shop.prod.svc.cluster.local"]],
    ["pods", "ip", ["shop@10.244.1.1", "shop@10.244.1.2"]],
    ["pods", "hostname", ["shop@shop-0.headless.prod.svc.cluster.local"]],
  ] as const)("of %s gives names by %s", async (ipLookupMode, mode, expected) => {
    const api = await bench().api();
    const inProd = { namespace: "prod" };
    const targets = [{ ip: "10.244.1.1", hostname: "shop-0" }, { ip: "10.244.1.2" }];
    api.put(slice("shop-x7k2p", targets, inProd));
    api.put(endpoints("shop", targets, inProd));
    api.put(pod("shop-0", { ...inProd, ip: "10.244.1.1", hostname: "shop-0", subdomain: "headless" }));
    api.put(pod("shop-1", { ...inProd, ip: "10.244.1.2", ready: false }));
    const run = bench().start(api, { ipLookupMode, mode, namespace: "prod" });
    await until(() => run.last !== undefined);
    expect(run.last).toEqual(expected);
  });

  it("of both families has one name for each pod", async () => {
    const api = await bench().api();
    api.put(slice("shop-4", [{ ip: "10.244.1.1", pod: "shop-0" }]));
    api.put(slice("shop-6", [{ ip: "fd00:10:244::1", pod: "shop-0" }], { addressType: "IPv6" }));
    const four = bench().start(api, { ipLookupMode: "endpoint_slices" });
    const six = bench().start(api, { ipLookupMode: "endpoint_slices", ipFamily: "ipv6" });
    await until(() => four.last !== undefined && six.last !== undefined);
    expect([four.last, six.last]).toEqual([["shop@10.244.1.1"], ["shop@fd00:10:244::1"]]);
  });

  it("comes in pages", async () => {
    const api = await bench().api();
    for (let i = 0; i < 1203; i++) api.put(pod(`shop-${i}`, { ip: `10.${i >> 8}.${i & 255}.1` }));
    const run = bench().start(api, { ipLookupMode: "pods" });
    await until(() => run.last !== undefined);
    expect(new Set(run.last).size).toBe(1203);
    expect(api.lists.map(({ query }) => Object.keys(query).sort())).toEqual([
      ["labelSelector", "limit"],
      ["continue", "labelSelector", "limit"],
      ["continue", "labelSelector", "limit"],
    ]);
  });

  it("comes in one piece from the memory of the API, when that is enough", async () => {
    const api = await bench().api();
    for (let i = 0; i < 1203; i++) api.put(pod(`shop-${i}`, { ip: `10.${i >> 8}.${i & 255}.1` }));
    const run = bench().start(api, { ipLookupMode: "pods", useCachedResources: true });
    await until(() => run.last !== undefined);
    expect(run.last).toHaveLength(1203);
    expect(api.lists.map(({ query }) => query["resourceVersion"])).toEqual(["0"]);
  });

  it("begins again, whole, when a page has become too old", async () => {
    const api = await bench().api();
    for (let i = 0; i < 700; i++) api.put(pod(`shop-${1000 + i}`, { ip: `10.0.${i >> 8}.${i & 255}` }));
    api.intercept = ({ query }) => {
      if (query["continue"] === undefined) return false;
      api.remove(pod("shop-1000"));
      api.compact();
      return false;
    };
    const run = bench().start(api, { ipLookupMode: "pods" });
    await until(() => run.last !== undefined);
    expect(run.last).toHaveLength(699);
    expect(api.lists.at(-1)?.query).toEqual({ labelSelector: "app=shop" });
  });

  it("that is empty says so", async () => {
    const api = await bench().api();
    api.intercept = ({ watch, answer }) => {
      if (watch) return false;
      answer.end(
        JSON.stringify({ kind: "EndpointsList", metadata: { resourceVersion: "1000" }, items: null }),
      );
      return true;
    };
    const run = bench().start(api);
    await until(() => run.last !== undefined);
    expect(run.last).toEqual([]);
  });

  it("of endpoints that were cut off is warned of, once", async () => {
    const api = await bench().api();
    const cut = endpoints("shop", [{ ip: "10.244.1.17" }]);
    const annotations = { "endpoints.kubernetes.io/over-capacity": "truncated" };
    api.put({ ...cut, metadata: { ...cut.metadata, annotations } });
    const run = bench().start(api);
    await until(() => api.watching === 1);
    run.strategy.refresh?.();
    await until(() => run.reports.length === 2);
    expect(run.logger.lines.filter(({ message }) => message.includes("endpoint_slices"))).toHaveLength(1);
  });

  it.each([
    ["nothing", ""],
    ["a page of a proxy", "<html>Bad gateway</html>"],
    ["another object", JSON.stringify({ kind: "Status", status: "Success" })],
    ["items that are no list", JSON.stringify({ kind: "EndpointsList", items: {} })],
    ["null", "null"],
  ])("that is %s is a failure", async (_title, body) => {
    const api = await bench().api();
    api.intercept = ({ answer }) => {
      answer.end(body);
      return true;
    };
    const run = bench().start(api);
    await until(() => run.last !== undefined);
    expect(run.last).toMatch(/^(DISCOVERY_FAILED|HTTP_BODY_INVALID)$/);
  });

  it("with things that are no objects of this API has the rest", async () => {
    const api = await bench().api();
    const good = endpoints("shop", [{ ip: "10.0.0.1" }]);
    const items = [
      null,
      7,
      "x",
      [],
      {},
      { metadata: null },
      { metadata: { name: {} } },
      { subsets: "no" },
      good,
    ];
    api.intercept = ({ watch, answer }) => {
      if (!watch) answer.end(JSON.stringify({ kind: "EndpointsList", metadata: {}, items }));
      return !watch;
    };
    const run = bench().start(api);
    await until(() => run.last !== undefined);
    expect(run.last).toEqual(["shop@10.0.0.1"]);
  });
});

describe("the environment", () => {
  afterEach(() => vi.unstubAllEnvs());

  it("tells where the API is, as Kubernetes does for every container", async () => {
    const api = await bench().api();
    vi.stubEnv("KUBERNETES_SERVICE_HOST", "127.0.0.1");
    vi.stubEnv("KUBERNETES_SERVICE_PORT", String(api.port));
    const run = bench().start(api, { master: undefined });
    await until(() => run.last !== undefined);
    expect(run.last).toEqual([]);
  });

  it.each([
    [{}, "k8s.example"],
    [{ clusterDomain: "other.example" }, "other.example"],
    [{ clusterName: "west" }, "k8s.example"],
    [{ clusterName: "west", compat: true }, "west.local"],
  ])("tells the domain of names, unless %j", async (options, domain) => {
    const api = await bench().api();
    api.put(pod("shop-0", { ip: "10.0.0.1" }));
    vi.stubEnv("CLUSTER_DOMAIN", "k8s.example");
    const run = bench().start(api, { ipLookupMode: "pods", mode: "dns", ...options });
    await until(() => run.last !== undefined);
    expect(run.last).toEqual([`shop@10-0-0-1.default.pod.${domain}`]);
  });
});

describe("pods", () => {
  const states = () => [
    pod("ready", { ip: "10.0.0.1" }),
    pod("not-ready", { ip: "10.0.0.2", ready: false }),
    pod("leaving", { ip: "10.0.0.3", terminating: true }),
    pod("finished", { ip: "10.0.0.4", phase: "Succeeded", ready: false }),
  ];

  it.each([
    [{}, [1, 2]],
    [{ compat: true }, [1, 2, 3, 4]],
    [{ condition: "ready" }, [1]],
    [{ condition: "serving" }, [1, 3]],
    [{ condition: "ready", compat: true }, [1]],
  ] as const)("count by their state, with %j", async (options, expected) => {
    const api = await bench().api();
    for (const one of states()) api.put(one);
    const run = bench().start(api, { ipLookupMode: "pods", ...options });
    await until(() => run.last !== undefined);
    expect(new Set(run.last)).toEqual(new Set(expected.map((i) => `shop@10.0.0.${i}`)));
  });
});

describe("a watch", () => {
  const shop = (...ips: string[]): ApiObject =>
    endpoints(
      "shop",
      ips.map((ip) => ({ ip })),
    );

  it("goes on where the list was, and tells what comes, changes and goes", async () => {
    const api = await bench().api();
    api.put(slice("shop-a", [{ ip: "10.0.0.1" }]));
    const run = bench().start(api, { ipLookupMode: "endpoint_slices" });
    await until(() => api.watching === 1);
    expect(api.watches[0]?.query).toEqual({
      labelSelector: "app=shop",
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion: "1001",
      timeoutSeconds: "120",
    });
    api.put(slice("shop-b", [{ ip: "10.0.0.2" }]));
    await passing(run.clock, 10, () => run.reports.length === 2);
    expect(run.last).toEqual(["shop@10.0.0.1", "shop@10.0.0.2"]);
    api.put(slice("shop-a", [{ ip: "10.0.0.1", ready: false }, { ip: "10.0.0.3" }]));
    await passing(run.clock, 10, () => run.reports.length === 3);
    expect(run.last).toEqual(["shop@10.0.0.3", "shop@10.0.0.2"]);
    api.remove(slice("shop-b", []));
    await passing(run.clock, 10, () => run.reports.length === 4);
    expect(run.last).toEqual(["shop@10.0.0.3"]);
    expect(api.lists).toHaveLength(1);
  });

  it("says nothing of changes that change no address", async () => {
    const api = await bench().api();
    api.put(pod("shop-0"));
    const run = bench().start(api, { ipLookupMode: "pods" });
    await until(() => api.watching === 1);
    for (let i = 0; i < 5; i++) api.put(pod("shop-0", { labels: { app: "shop", turn: String(i) } }));
    api.put(pod("shop-1", { ip: "10.244.1.18" }));
    await passing(run.clock, 10, () => run.reports.length === 2);
    expect(run.last).toEqual(["shop@10.244.1.17", "shop@10.244.1.18"]);
  });

  it("that the API ends goes on from the last version, which bookmarks move on", async () => {
    const api = await bench().api();
    api.put(shop("10.0.0.1"));
    const run = bench().start(api);
    await until(() => api.watching === 1);
    for (let i = 0; i < 50; i++) api.elsewhere();
    api.bookmark("Endpoints");
    api.endWatches();
    await until(() => api.watches.length === 2 && api.watching === 1);
    expect(api.watches[1]?.query["resourceVersion"]).toBe("1051");
    api.put(shop("10.0.0.1", "10.0.0.2"));
    await passing(run.clock, 10, () => run.reports.length === 2);
    api.endWatches();
    await until(() => api.watches.length === 3);
    expect(api.watches[2]?.query["resourceVersion"]).toBe("1052");
    expect(api.lists).toHaveLength(1);
    expect(run.reports.every(({ ok }) => ok)).toBe(true);
  });

  it("that is cut goes on from the last version, without a word of failure", async () => {
    const api = await bench().api();
    api.put(shop("10.0.0.1"));
    const run = bench().start(api);
    await until(() => api.watching === 1);
    api.endWatches("cut");
    api.put(shop("10.0.0.1", "10.0.0.2"));
    await passing(run.clock, 100, () => run.reports.length === 2);
    expect(run.last).toEqual(["shop@10.0.0.1", "shop@10.0.0.2"]);
    expect(api.lists).toHaveLength(1);
  });

  it.each(["end", "cut"] as const)("that ends in the middle of a line (%s) loses nothing", async (how) => {
    const api = await bench().api();
    api.put(shop("10.0.0.1"));
    const run = bench().start(api);
    await until(() => api.watching === 1);
    const event = JSON.stringify({ type: "DELETED", object: shop("10.0.0.1") });
    api.send(event.slice(0, event.length - 40));
    api.endWatches(how);
    api.put(shop("10.0.0.2"));
    await passing(run.clock, 100, () => run.reports.length === 2);
    expect(run.last).toEqual(["shop@10.0.0.2"]);
  });

  it("takes events that come in pieces of any size", async () => {
    const api = await bench().api();
    api.put(shop("10.0.0.1"));
    const run = bench().start(api);
    await until(() => api.watching === 1);
    const text = ["é", "日本"].map((note, i) => {
      const object = shop("10.0.0.1", `10.0.1.${i}`);
      const metadata = { ...object.metadata, resourceVersion: "2000", annotations: { note } };
      return `${JSON.stringify({ type: "MODIFIED", object: { ...object, metadata } })}\n`;
    });
    for (const byte of Buffer.from(text.join(""))) api.send(Uint8Array.of(byte));
    await passing(run.clock, 10, () => run.last?.[1] === "shop@10.0.1.1");
    expect(run.last).toEqual(["shop@10.0.0.1", "shop@10.0.1.1"]);
  });

  it.each(["event", "status"] as const)("that is too old (410 as %s) begins with a list", async (how) => {
    const api = await bench().api();
    api.put(shop("10.0.0.1"));
    const run = bench().start(api);
    await until(() => api.watching === 1);
    // the change happens while nobody watches, and is forgotten
    api.intercept = ({ watch, query, answer }) => {
      if (!watch || query["resourceVersion"] !== "1001") return false;
      api.put(shop("10.0.0.2"));
      api.compact();
      if (how === "status") refuse(answer, 410, "Expired", "too old resource version: 1001 (1002)");
      return how === "status";
    };
    api.endWatches();
    await passing(run.clock, 100, () => api.watches.length === 2);
    await passing(run.clock, 100, () => api.watching === 1);
    expect(run.last).toEqual(["shop@10.0.0.2"]);
    expect(api.lists).toHaveLength(2);
    expect(run.reports.every(({ ok }) => ok)).toBe(true);
  });

  it.each([
    ["too old", status(410, "Expired", "too old resource version: 1 (2)")],
    ["an error of the API", status(500, "InternalError", "etcd event received with PrevKv=nil")],
    ["an error without a status", {}],
    ["null", null],
  ])("that tells of %s in its midst is made anew", async (_title, object) => {
    const api = await bench().api();
    api.put(shop("10.0.0.1"));
    const run = bench().start(api);
    await until(() => api.watching === 1);
    api.send(`${JSON.stringify({ type: "ERROR", object })}\n`);
    await passing(run.clock, 100, () => api.watches.length === 2 && api.watching === 1);
    api.put(shop("10.0.0.2"));
    await passing(run.clock, 10, () => run.last?.[0] === "shop@10.0.0.2");
  });

  it.each([
    ["events of no type", { object: {} }],
    ["events of a new type", { type: "RENAMED", object: { metadata: { resourceVersion: "9" } } }],
    ["events without an object", { type: "ADDED" }],
    ["objects without a name", { type: "DELETED", object: { metadata: {} } }],
    ["objects that are none", { type: "MODIFIED", object: [1, 2] }],
    ["what is no event", ["ADDED", {}]],
    ["null", null],
  ])("does not mind %s", async (_title, event) => {
    const api = await bench().api();
    api.put(shop("10.0.0.1"));
    const run = bench().start(api);
    await until(() => api.watching === 1);
    api.send(`${JSON.stringify(event)}\n`);
    api.put(shop("10.0.0.1", "10.0.0.2"));
    await passing(run.clock, 10, () => run.reports.length === 2);
    expect(run.last).toEqual(["shop@10.0.0.1", "shop@10.0.0.2"]);
    expect(api.watches).toHaveLength(1);
  });

  it("with an event that is far too long is made anew", async () => {
    const api = await bench().api();
    api.put(shop("10.0.0.1"));
    const run = bench().start(api);
    await until(() => api.watching === 1);
    api.send("x".repeat(5 * 1024 * 1024));
    await passing(run.clock, 100, () => api.watches.length === 2 && api.watching === 1);
    api.put(shop("10.0.0.2"));
    await passing(run.clock, 10, () => run.last?.[0] === "shop@10.0.0.2");
  });

  it("that never works is replaced by lists, with growing delays, and that is said once", async () => {
    const api = await bench().api();
    api.put(shop("10.0.0.1"));
    api.intercept = ({ watch, answer }) => watch && !!answer.writeHead(500).end();
    const run = bench().start(api);
    // in small steps: what an attempt really takes is not to count as one that lasted
    await passing(run.clock, 100, () => api.watches.length === 8);
    expect(api.lists.length).toBeGreaterThan(5);
    expect(run.reports.every(({ ok }) => ok)).toBe(true);
    expect(run.logger.lines.filter(({ level }) => level === "warn")).toHaveLength(1);
    expect(run.clock.now()).toBeGreaterThan(30_000);
  });

  it("that ends at once each time is not asked for in a busy loop", async () => {
    const api = await bench().api();
    api.intercept = ({ watch, answer }) => watch && !!answer.writeHead(200).end();
    const run = bench().start(api);
    await until(() => api.watches.length === 1);
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(api.watches).toHaveLength(1);
    await passing(run.clock, 100, () => api.watches.length === 3);
    expect(run.clock.now()).toBeGreaterThanOrEqual(1000);
  });

  it("that is forbidden is replaced by lists at intervals, and tried again later", async () => {
    const api = await bench().api();
    api.put(shop("10.0.0.1"));
    api.intercept = ({ watch, answer }) => {
      if (watch) refuse(answer, 403, "Forbidden", "endpoints is forbidden: cannot watch resource");
      return watch;
    };
    const run = bench().start(api);
    await until(() => api.watches.length === 1);
    api.put(shop("10.0.0.2"));
    await passing(run.clock, 100, () => run.reports.length === 2);
    expect(run.last).toEqual(["shop@10.0.0.2"]);
    await passing(run.clock, 100, () => api.lists.length === 10);
    expect(api.watches).toHaveLength(1);
    expect(run.logger.lines.filter(({ level }) => level === "warn")).toMatchObject([
      {
        message: expect.stringContaining("verb watch"),
        fields: { resource: "endpoints", namespace: "default" },
      },
    ]);
    api.intercept = undefined;
    await passing(run.clock, 5000, () => api.watching === 1);
    expect(run.clock.now()).toBeGreaterThan(300_000);
  });

  it("is checked by a list now and then", async () => {
    const api = await bench().api();
    const run = bench().start(api, { resyncInterval: 60_000 });
    await until(() => api.watching === 1);
    run.clock.advance(66_000);
    await until(() => api.lists.length === 2 && api.watches.length === 2);
    await until(() => api.watching === 1);
  });

  it("is not made when there should be none", async () => {
    const api = await bench().api();
    api.put(shop("10.0.0.1"));
    const run = bench().start(api, { watch: false, pollingInterval: 1000 });
    await until(() => run.reports.length === 1);
    api.put(shop("10.0.0.2"));
    await passing(run.clock, 100, () => run.reports.length === 2);
    expect(run.last).toEqual(["shop@10.0.0.2"]);
    expect(run.clock.now()).toBeGreaterThanOrEqual(900);
    expect(api.watches).toHaveLength(0);
  });
});

describe("a failure", () => {
  it("keeps the nodes, tells what the API says and what to do, and is over when it is over", async () => {
    const api = await bench().api();
    api.put(endpoints("shop", [{ ip: "10.0.0.1" }]));
    const run = bench().start(api, { watch: false });
    await until(() => run.reports.length === 1);
    const message =
      'endpoints is forbidden: User "system:serviceaccount:default:shop" cannot list resource "endpoints" in API group "" in the namespace "default"';
    api.intercept = ({ answer }) => {
      refuse(answer, 403, "Forbidden", message);
      return true;
    };
    await passing(run.clock, 1000, () => run.reports.length === 3);
    for (const report of run.reports.slice(1)) {
      expect(report).toMatchObject({
        ok: false,
        error: {
          code: "DISCOVERY_FAILED",
          message: expect.stringContaining(message),
          context: { status: 403, resource: "endpoints", namespace: "default" },
        },
      });
    }
    api.intercept = undefined;
    await passing(run.clock, 1000, () => run.last?.[0] === "shop@10.0.0.1");
  });

  it("to be allowed empties the list where libcluster's ways are wanted", async () => {
    const api = await bench().api();
    api.put(endpoints("shop", [{ ip: "10.0.0.1" }]));
    const run = bench().start(api, { compat: true });
    await until(() => run.reports.length === 1);
    api.intercept = ({ answer }) => {
      refuse(answer, 403, "Forbidden", "endpoints is forbidden");
      return true;
    };
    await passing(run.clock, 1000, () => run.reports.length === 2);
    expect(run.last).toEqual([]);
    expect(api.watches).toHaveLength(0);
    api.intercept = ({ answer }) => !!answer.writeHead(500).end();
    await passing(run.clock, 1000, () => run.reports.length === 3);
    expect(run.last).toBe("HTTP_STATUS");
  });

  it.each([
    [401, "DISCOVERY_FAILED"],
    [404, "DISCOVERY_FAILED"],
    [429, "HTTP_STATUS"],
    [500, "HTTP_STATUS"],
    [503, "HTTP_STATUS"],
    [302, "HTTP_STATUS"],
  ])("with status %i is %s", async (code, expected) => {
    const api = await bench().api();
    api.intercept = ({ answer }) => !!answer.writeHead(code, { location: "https://evil.example/" }).end();
    const run = bench().start(api);
    await until(() => run.last !== undefined);
    expect(run.last).toBe(expected);
    expect(run.reports[0]).toMatchObject({ error: { context: { status: code } } });
  });

  it("has growing delays, and the one the API asks for", async () => {
    const api = await bench().api();
    api.intercept = ({ answer }) => !!answer.writeHead(503, { "retry-after": "45" }).end();
    const run = bench().start(api, { pollingInterval: 1000 });
    await until(() => run.reports.length === 1);
    await passing(run.clock, 1000, () => run.reports.length === 2);
    expect(run.clock.now()).toBeGreaterThanOrEqual(45_000);
  });

  it.each([
    ["cut in the middle of the answer", 15_000],
    ["silent", 50],
  ])("of an API that is %s", async (title, requestTimeout) => {
    const api = await bench().api();
    api.intercept = ({ answer }) => {
      if (title !== "silent") answer.write('{"kind":"EndpointsList","items":[', () => answer.destroy());
      return true;
    };
    const run = bench().start(api, { requestTimeout });
    await until(() => run.last !== undefined);
    expect(run.last).toBe("HTTP_FAILED");
  });

  it("of an API that nobody has", async () => {
    const api = await bench().api();
    const run = bench().start(api);
    await until(() => api.watching === 1);
    await api.stop();
    await passing(run.clock, 1000, () => run.last === "HTTP_FAILED");
  });

  it("ends with an immediate attempt when that is asked for", async () => {
    const api = await bench().api();
    api.intercept = ({ answer }) => !!answer.writeHead(500).end();
    const run = bench().start(api);
    await until(() => run.last === "HTTP_STATUS");
    api.intercept = undefined;
    run.strategy.refresh?.();
    await until(() => run.reports.length === 2);
    expect(run.last).toEqual([]);
  });
});

describe("the end", () => {
  it.each(["abort", "stop"] as const)("by %s closes the watch and leaves no timer", async (how) => {
    const api = await bench().api();
    api.put(endpoints("shop", [{ ip: "10.0.0.1" }]));
    const run = bench().start(api);
    await until(() => api.watching === 1);
    api.put(endpoints("shop", [{ ip: "10.0.0.2" }]));
    if (how === "abort") run.abort.abort();
    await run.strategy.stop();
    await until(() => api.watching === 0);
    expect(run.clock.pending).toBe(0);
    expect(run.reports).toHaveLength(1);
    run.strategy.refresh?.();
    await run.strategy.stop();
    expect(api.seen).toHaveLength(2);
  });

  it("may come while a list is under way, or before anything", async () => {
    const api = await bench().api();
    api.intercept = () => true;
    const run = bench().start(api);
    await until(() => api.seen.length === 1);
    await run.strategy.stop();
    expect(run.reports).toEqual([]);
    expect(run.clock.pending).toBe(0);
    await kubernetes({ nodeBasename: "shop", selector: "a=b" }).stop();
  });

  it("may come in a pause", async () => {
    const api = await bench().api();
    const run = bench().start(api, { watch: false });
    await until(() => run.clock.pending > 0 && run.reports.length === 1);
    await run.strategy.stop();
    expect(run.clock.pending).toBe(0);
  });
});
