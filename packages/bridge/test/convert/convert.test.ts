import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { convert } from "../../src/convert/convert.ts";
import { parseFormConfig } from "../../src/form/config.ts";

const NODE = { RELEASE_NODE: "app@10.0.0.5", RELEASE_COOKIE: "c" };

/** The YAML of a configuration, its topologies, and its comments. */
async function converted(elixir: string) {
  const yaml = await convert(elixir, "config.exs");
  const { topologies } = parse(yaml) as { topologies: Record<string, Record<string, unknown>> };
  const comments = yaml
    .split("\n")
    .filter((line) => line.trim().startsWith("#"))
    .map((line) => line.trim())
    .join("\n");
  return { yaml, topologies, comments };
}

/** The same, and `isthmus form` takes it as it is. */
async function valid(elixir: string, env: Readonly<Record<string, string>> = {}) {
  const found = await converted(elixir);
  await parseFormConfig(found.yaml, { file: "isthmus.yaml", env: { ...NODE, ...env } });
  return found;
}

describe("isthmus convert: libcluster 3", () => {
  it("a topology in config.exs", async () => {
    const { topologies, yaml } = await valid(`
import Config

config :my_app, port: 4000

config :libcluster,
  topologies: [
    static: [
      strategy: Cluster.Strategy.Epmd,
      config: [hosts: [:"a@10.0.0.1", :b@host, "c@host"], timeout: :infinity]
    ]
  ]
`);
    expect(topologies).toEqual({
      static: {
        strategy: "epmd",
        config: { hosts: ["a@10.0.0.1", "b@host", "c@host"], timeout: "infinity" },
      },
    });
    expect(yaml).not.toContain("not converted");
    expect(yaml).toContain("Made of config.exs");
  });

  it("topologies in an application module, as a variable and inline", async () => {
    const { topologies } = await valid(`
defmodule MyApp.Application do
  use Application

  def start(_type, _args) do
    topologies = [
      pods: [
        strategy: Elixir.Cluster.Strategy.Kubernetes,
        config: [
          mode: :dns,
          kubernetes_node_basename: "my_app",
          kubernetes_selector: "app=my_app,tier in (web, job)",
          kubernetes_namespace: "prod",
          polling_interval: 10_000
        ]
      ]
    ]

    children = [
      {Cluster.Supervisor, [topologies, [name: MyApp.ClusterSupervisor]]},
      MyApp.Repo
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: MyApp.Supervisor)
  end
end
`);
    expect(topologies).toEqual({
      pods: {
        strategy: "kubernetes",
        config: {
          mode: "dns",
          kubernetes_node_basename: "my_app",
          kubernetes_selector: "app=my_app,tier in (web, job)",
          kubernetes_namespace: "prod",
          polling_interval: 10000,
        },
      },
    });
    const inline = await valid(`children = [
      {Cluster.Supervisor, [[one: [strategy: Cluster.Strategy.Epmd, config: [hosts: [:a@h]]]], [name: X]]}
    ]`);
    expect(inline.topologies).toEqual({ one: { strategy: "epmd", config: { hosts: ["a@h"] } } });
    const attribute = await valid(
      `@topologies [one: [strategy: Cluster.Strategy.Epmd, config: [hosts: [:a@h]]]]`,
    );
    expect(attribute.topologies).toEqual(inline.topologies);
  });

  it("variables of the environment, in every form", async () => {
    const { topologies } = await valid(
      `
import Config
query = System.get_env("DNS_QUERY")
config :libcluster, topologies: [
  dns: [
    strategy: Cluster.Strategy.DNSPoll,
    config: [
      query: query,
      node_basename: System.get_env("BASENAME", "app"),
      polling_interval: String.to_integer(System.get_env("POLL") || "5000")
    ]
  ],
  k8s: [
    strategy: Cluster.Strategy.Kubernetes.DNSSRV,
    config: [
      service: "#{System.fetch_env!("RELEASE")}-headless",
      namespace: {:system, "NAMESPACE", "default"},
      application_name: System.get_env("APP") |> String.trim()
    ]
  ]
]
`,
      { DNS_QUERY: "app.internal", RELEASE: "r", APP: "app" },
    );
    expect(topologies).toEqual({
      dns: {
        strategy: "dns-poll",
        config: {
          query: "${DNS_QUERY}",
          node_basename: "${BASENAME:-app}",
          polling_interval: "${POLL:-5000}",
        },
      },
      k8s: {
        strategy: "kubernetes-dnssrv",
        config: {
          service: "${RELEASE}-headless",
          namespace: "${NAMESPACE:-default}",
          application_name: "${APP}",
        },
      },
    });
  });

  it("keeps what looks like one of our variables as text", async () => {
    const { topologies } = await converted(
      `topologies = [one: [strategy: Cluster.Strategy.Epmd, config: [hosts: ["\${X}@h"]]]]`,
    );
    expect(topologies["one"]).toEqual({ strategy: "epmd", config: { hosts: ["$${X}@h"] } });
  });

  it("has a comment for functions, unknown keys and unknown strategies, with their lines", async () => {
    const { topologies, comments } = await converted(`
config :libcluster,
  debug: true,
  topologies: [
    dns: [
      strategy: Cluster.Strategy.DNSPoll,
      config: [query: "app.internal", node_basename: "app", resolver: &MyApp.Dns.lookup/1, nonsense: 1],
      connect: {:net_kernel, :connect_node, []},
      disconnect: {MyApp.Nodes, :leave, [:gently, Now, 5]},
      list_nodes: &MyApp.nodes/0,
      child_spec: [restart: :transient]
    ],
    own: [strategy: MyApp.ClusterStrategy, config: [a: 1]],
    odd: MyApp.topology()
  ]
`);
    expect(topologies).toEqual({
      dns: {
        strategy: "dns-poll",
        config: { query: "app.internal", node_basename: "app" },
        disconnect: ["MyApp.Nodes", "leave", [":gently", ":Elixir.Now", 5]],
      },
      own: { strategy: "MyApp.ClusterStrategy", config: { a: 1 } },
    });
    for (const said of [
      "# line 7: not converted, a function cannot be converted\n# resolver: &MyApp.Dns.lookup/1",
      "# line 7: not converted, nonsense is not an option of dns-poll.",
      "# line 8: connect is what it is here by itself",
      "# line 10: not converted, it is not {Module, :function, [arguments]}\n# list_nodes: &MyApp.nodes/0",
      "# line 11: not converted, there is no supervisor to give it to\n# child_spec",
      '# line 13: There is no strategy "MyApp.ClusterStrategy".',
      "# line 14: not converted, the topology is no keyword list\n# odd: MyApp.topology()",
      "# line 3: not converted, use log: { level: debug } here\n# debug",
    ]) {
      expect(comments).toContain(said);
    }
  });

  it("says when a value is wrong, and when a configuration is under a condition", async () => {
    const { comments, topologies } = await converted(`
if config_env() == :prod do
  config :libcluster,
    topologies: [
      one: [strategy: Cluster.Strategy.DNSPoll, config: [query: "x", node_basename: "a", polling_interval: :fast]]
    ]
end
`);
    expect(topologies["one"]).toEqual({ strategy: "dns-poll", config: { query: "x", node_basename: "a" } });
    expect(comments).toContain("this stands under a condition, and here always\n# if config_env() == :prod");
    expect(comments).toMatch(/line 5: not converted, polling_interval of dns-poll must be milliseconds/);
  });

  it("merges configurations as Elixir does, and says so", async () => {
    const { topologies, comments } = await converted(`
config :libcluster, topologies: [one: [strategy: Cluster.Strategy.Epmd, config: [hosts: [:a@h], timeout: 5]]]
config :libcluster, :topologies, one: [config: [hosts: [:b@h]]]
`);
    expect(topologies).toEqual({ one: { strategy: "epmd", config: { hosts: ["b@h"], timeout: 5 } } });
    expect(comments).toContain("line 3: this is given more than once");
  });

  it("a strategy from the environment", async () => {
    const { topologies } = await valid(
      `config :libcluster, topologies: [one: [strategy: {:system, :module, "STRATEGY"}, config: [hosts: [:a@h]]]]`,
      { STRATEGY: "Cluster.Strategy.Epmd" },
    );
    expect(topologies).toEqual({ one: { strategy: "${STRATEGY}", config: { hosts: ["a@h"] } } });
  });
});

describe("isthmus convert: skycluster and libcluster 1", () => {
  it("Kubernetes with variables", async () => {
    const { topologies } = await valid(`
use Mix.Config
config :skycluster,
  strategy: {:system, :atom, "LIBCLUSTER_STRATEGY", Cluster.Strategy.Kubernetes},
  kubernetes_selector: {:system, "LIBCLUSTER_KUBERNETES_SELECTOR", "app=my_app"},
  kubernetes_node_basename: {:system, "LIBCLUSTER_KUBERNETES_NODE_BASENAME", "my_app"}
`);
    expect(topologies).toEqual({
      main: {
        strategy: "${LIBCLUSTER_STRATEGY:-Cluster.Strategy.Kubernetes}",
        config: {
          kubernetes_selector: "${LIBCLUSTER_KUBERNETES_SELECTOR:-app=my_app}",
          kubernetes_node_basename: "${LIBCLUSTER_KUBERNETES_NODE_BASENAME:-my_app}",
        },
      },
    });
  });

  it("gossip, with the group of those days where none is given", async () => {
    const { topologies, comments } = await valid(`
config :libcluster,
  strategy: Cluster.Strategy.Gossip,
  port: 45892,
  if_addr: {0, 0, 0, 0},
  multicast_ttl: 1,
  kubernetes_selector: "app=x"
`);
    expect(topologies).toEqual({
      main: {
        strategy: "gossip",
        config: { port: 45892, if_addr: "0.0.0.0", multicast_ttl: 1, multicast_addr: "230.1.1.251" },
      },
    });
    expect(comments).toContain(
      "line 7: not converted, it is not for Cluster.Strategy.Gossip\n# kubernetes_selector",
    );
  });

  it("no strategy, which was the one that does nothing", async () => {
    const { topologies, comments } = await valid(`config :skycluster, port: 1`);
    expect(topologies).toEqual({ main: { strategy: "epmd", config: { hosts: [] } } });
    expect(comments).toContain("no strategy was named");
    expect(comments).toContain("the strategy did nothing by itself");
  });
});

it.each([
  ["config :my_app, topologies: [a: 1]", "TOPOLOGIES_MISSING"],
  ["# config :libcluster, topologies: [a: []]", "TOPOLOGIES_MISSING"],
  ['x = "config :libcluster, topologies: [a: []]"', "TOPOLOGIES_MISSING"],
  ["config :libcluster, topologies: topologies()", "TOPOLOGIES_MISSING"],
  ["config :libcluster, topologies: [a: [", "ELIXIR_INVALID"],
])("refuses %s", async (elixir, code) => {
  await expect(convert(elixir, "config.exs")).rejects.toMatchObject({ code });
});

it("makes of the example what lies beside it", async () => {
  const read = (name: string): string =>
    readFileSync(new URL(`../../../../examples/form/${name}`, import.meta.url), "utf8");
  const yaml = await convert(read("config.exs"), "examples/form/config.exs");
  expect(yaml).toBe(read("converted.yaml"));
  for (const text of [yaml, read("isthmus.yaml")]) {
    const config = await parseFormConfig(text, { file: "isthmus.yaml", env: { ...NODE, APP: "shop" } });
    expect(Object.keys(config.topologies).length).toBeGreaterThan(0);
  }
});
