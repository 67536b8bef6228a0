import Config

config :libcluster,
  topologies: [
    pods: [
      strategy: Cluster.Strategy.Kubernetes,
      config: [
        mode: :ip,
        kubernetes_ip_lookup_mode: :pods,
        kubernetes_node_basename: System.get_env("BASENAME", "shop"),
        kubernetes_selector: "app=#{System.fetch_env!("APP")}",
        polling_interval: 10_000
      ]
    ],
    batch: [
      strategy: Cluster.Strategy.DNSPoll,
      config: [
        query: "batch.internal",
        node_basename: "batch",
        resolver: &Shop.Dns.resolve/1
      ],
      connect: {:net_kernel, :connect_node, []}
    ]
  ]
