import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  CreateSubnetCommand,
  CreateVpcCommand,
  EC2Client,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { Certificates } from "../../packages/dist-handshake/test/support/certificates.ts";
import { ApiServer } from "../../packages/strategies/test/kubernetes/api-server.ts";
import { slice } from "../../packages/strategies/test/kubernetes/objects.ts";
import { startConsul } from "../support/consul.ts";
import { type Knot, startKnot, type ZoneChange } from "../support/knot.ts";
import { startMoto } from "../support/moto.ts";
import type { NetworkHost } from "../support/network-namespaces.ts";
import { startPostgres } from "../support/postgres.ts";
import type { Peer } from "./strategies-peer.ts";
import { Relay } from "./strategies-relay.ts";
import {
  DIGITALOCEAN,
  EC2,
  type HttpService,
  startDigitalOcean,
  startInstanceMetadata,
  startRancher,
} from "./strategies-services.ts";

/** Address of the host with the services. */
export const SERVICES = "10.77.0.14";
/** That of EC2's instance metadata, which the same host has as well. */
export const METADATA = "169.254.169.254";

const PORTS = {
  dns: 53,
  rancher: 80,
  postgres: 5432,
  moto: 4566,
  kubernetes: 6443,
  digitalocean: 8080,
  consul: 8500,
};
const at = (service: keyof typeof PORTS): string => `${SERVICES}:${PORTS[service]}`;
/** What the relay must listen on. */
const ADDRESSES: readonly string[] = [
  ...(Object.keys(PORTS) as (keyof typeof PORTS)[]).map(at),
  `${METADATA}:80`,
];

/** Name servers and search list as a container in the namespace "orders" of a Kubernetes cluster has them. */
export const RESOLV_CONF = `nameserver ${SERVICES}
search orders.svc.cluster.local svc.cluster.local cluster.local
options ndots:5
`;

/** Name of a pod, as its host calls it. */
export const podName = (index: number): string => `app-${index}.pods.orders.svc.cluster.local`;

/** The services that are there all the time. */
export interface Services {
  readonly relay: Relay;
  readonly knot: Knot;
}

/** A relay on `host`, {@link SERVICES}, and a name server behind it which knows the pods. */
export async function startServices(host: NetworkHost, folder: string): Promise<Services> {
  const records = [0, 1, 2].map((i) => `${podName(i)}. 5 A 10.77.0.${11 + i}`);
  await host.run("ip", "addr", "add", METADATA, "dev", "eth0");
  const [relay, knot] = await Promise.all([
    Relay.start(host, folder, ADDRESSES),
    startKnot({ zone: "cluster.local", records }),
  ]);
  relay.lead(at("dns"), knot);
  return { relay, knot };
}

/** What a strategy asks, for the time of its test. */
export interface Source {
  /** The strategy's options, in a configuration that is to name these nodes if it names any. */
  config(peers: readonly Peer[]): Readonly<Record<string, unknown>>;
  /** Makes a node known to the service, and takes it out. Without these nodes become known as {@link Row.known} says. */
  enter?(peer: Peer): void | Promise<void>;
  leave?(peer: Peer): void | Promise<void>;
  close?(): void | Promise<void>;
}

/** One strategy, and what is peculiar to it. */
export interface Row {
  readonly title: string;
  readonly strategy: string;
  /** Names of the nodes: by address, as pods of a stateful set, or several of one host. */
  readonly named: "by address" | "as pods" | "on one host";
  /** What makes a node known: the service is told of it, its sidecar runs, it is configured, or it is up. */
  readonly known: "by entry" | "by sidecar" | "by configuration" | "by itself";
  /** @param folder empty, for this row alone */
  open(services: Services, folder: string): Source | Promise<Source>;
}

const every = { polling_interval: 200 } as const;
const basename = { node_basename: "app" } as const;

export const ROWS: readonly Row[] = [
  { title: "epmd", strategy: "epmd", named: "by address", known: "by configuration", open: list },
  {
    title: "erlang-hosts",
    strategy: "erlang-hosts",
    named: "by address",
    known: "by entry",
    open: hostsFile,
  },
  { title: "custom, a file", strategy: "custom", named: "by address", known: "by entry", open: namesFile },
  {
    title: "gossip",
    strategy: "gossip",
    named: "by address",
    known: "by sidecar",
    open: () => multicast({}),
  },
  {
    title: "gossip, secret",
    strategy: "gossip",
    named: "by address",
    known: "by sidecar",
    open: () => multicast({ secret: "secret-of-gossip" }),
  },
  { title: "dns-poll", strategy: "dns-poll", named: "by address", known: "by entry", open: zone },
  {
    title: "kubernetes-dns",
    strategy: "kubernetes-dns",
    named: "by address",
    known: "by entry",
    open: service,
  },
  { title: "kubernetes, watch", strategy: "kubernetes", named: "by address", known: "by entry", open: api },
  { title: "rancher", strategy: "rancher", named: "by address", known: "by entry", open: rancher },
  {
    title: "digitalocean",
    strategy: "digitalocean",
    named: "by address",
    known: "by entry",
    open: digitalocean,
  },
  { title: "ec2", strategy: "ec2", named: "by address", known: "by entry", open: ec2 },
  { title: "consul, register", strategy: "consul", named: "by address", known: "by sidecar", open: consul },
  { title: "postgres", strategy: "postgres", named: "by address", known: "by sidecar", open: postgres },
  {
    title: "kubernetes-dnssrv",
    strategy: "kubernetes-dnssrv",
    named: "as pods",
    known: "by entry",
    open: pods,
  },
  {
    title: "local-epmd",
    strategy: "local-epmd",
    named: "on one host",
    known: "by itself",
    open: () => ({ config: () => every }),
  },
];

function list(): Source {
  return { config: (peers) => ({ hosts: peers.map(({ node }) => node) }) };
}

/** A set of addresses, and what is to be done when it changes. */
function addresses(
  changed: (all: ReadonlySet<string>) => void,
): Pick<Source, "enter" | "leave"> & { all: Set<string> } {
  const all = new Set<string>();
  return {
    all,
    enter: ({ host }) => changed(all.add(host.address)),
    leave({ host }) {
      all.delete(host.address);
      changed(all);
    },
  };
}

/** Written at once: nobody reads a part of it. */
function replace(file: string, text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

function hostsFile(_: Services, folder: string): Source {
  const file = join(folder, ".hosts.erlang");
  const entries = addresses((all) => replace(file, [...all].map((address) => `'${address}'.\n`).join("")));
  return { config: () => ({ file, ...every }), ...entries };
}

function namesFile(_: Services, folder: string): Source {
  const file = join(folder, "nodes.json");
  const entries = addresses((all) =>
    replace(file, JSON.stringify([...all].map((address) => `app@${address}`))),
  );
  return { config: () => ({ file, ...every }), ...entries };
}

function multicast(options: object): Source {
  return { config: () => ({ heartbeat_interval: 200, expiry: 3000, ...options }) };
}

/** The name server tells of a node by these records. */
function named(
  { knot }: Services,
  config: object,
  records: (peer: Peer) => { readonly [Change in keyof ZoneChange]-?: string },
): Source {
  return {
    config: () => ({ ...every, ...config }),
    enter: (peer) => knot.change({ set: [records(peer).set] }),
    leave: (peer) => knot.change({ unset: [records(peer).unset] }),
  };
}

function zone(services: Services): Source {
  return named(services, { query: "app.cluster.local", ...basename }, ({ host: { address } }) => ({
    set: `app 1 A ${address}`,
    unset: `app A ${address}`,
  }));
}

/** The short name of a headless service, which the search list makes whole. */
function service(services: Services): Source {
  return named(services, { service: "app", application_name: "app" }, ({ host: { address } }) => ({
    set: `app.orders.svc 1 A ${address}`,
    unset: `app.orders.svc A ${address}`,
  }));
}

function pods(services: Services): Source {
  const config = { service: "pods", namespace: "orders", application_name: "app" };
  return named(services, config, ({ node }) => {
    const target = `0 50 4369 ${node.slice(node.indexOf("@") + 1)}.`;
    return { set: `pods.orders.svc 1 SRV ${target}`, unset: `pods.orders.svc SRV ${target}` };
  });
}

async function api({ relay }: Services, folder: string): Promise<Source> {
  const certificates = new Certificates();
  const authority = certificates.authority("kubernetes");
  const server = await ApiServer.start(certificates.certificate("apiserver", authority, `IP:${SERVICES}`));
  relay.lead(at("kubernetes"), { host: "127.0.0.1", port: server.port });
  const account = join(folder, "serviceaccount");
  mkdirSync(account);
  for (const [file, text] of Object.entries({
    token: "first-token",
    "ca.crt": authority.cert,
    namespace: "orders",
  })) {
    writeFileSync(join(account, file), text);
  }
  const options = { namespace: "orders", labels: { app: "app" }, service: "app" };
  return {
    config: () => ({
      kubernetes_node_basename: "app",
      kubernetes_selector: "app=app",
      kubernetes_ip_lookup_mode: "endpoint_slices",
      kubernetes_master: `https://${at("kubernetes")}`,
      kubernetes_service_account_path: account,
      // changes are told: this one is never waited for
      polling_interval: 600_000,
    }),
    ...addresses((all) =>
      server.put(
        slice(
          "app-x7k2p",
          [...all].map((ip) => ({ ip })),
          options,
        ),
      ),
    ),
    async close() {
      await server.stop();
      certificates.remove();
    },
  };
}

async function http(
  relay: Relay,
  address: string,
  start: (all: ReadonlySet<string>) => Promise<HttpService>,
  config: object,
): Promise<Source> {
  const { all, ...entries } = addresses(() => undefined);
  const server = await start(all);
  relay.lead(address, server.place);
  return { config: () => ({ ...basename, ...every, ...config }), ...entries, close: () => server.stop() };
}

/** At the URL that Rancher's metadata service always has. */
function rancher({ relay }: Services): Promise<Source> {
  return http(relay, at("rancher"), startRancher, {});
}

function digitalocean({ relay }: Services): Promise<Source> {
  const { token, tag } = DIGITALOCEAN;
  const config = { token, tag_name: tag, base_url: `http://${at("digitalocean")}` };
  return http(relay, at("digitalocean"), startDigitalOcean, config);
}

/** Region, value of the tag and credentials are what the instance metadata say. */
async function ec2({ relay }: Services): Promise<Source> {
  const [moto, metadata] = await Promise.all([startMoto(), startInstanceMetadata()]);
  const { hostname: host, port } = new URL(moto.url);
  relay.lead(at("moto"), { host, port: Number(port) });
  relay.lead(`${METADATA}:80`, metadata.place);
  const client = new EC2Client({
    region: EC2.region,
    endpoint: moto.url,
    credentials: { accessKeyId: "AKIAOFTHETEST", secretAccessKey: "secret-of-the-test" },
  });
  const { Vpc } = await client.send(new CreateVpcCommand({ CidrBlock: "10.77.0.0/16" }));
  const { Subnet } = await client.send(
    new CreateSubnetCommand({ VpcId: Vpc!.VpcId!, CidrBlock: "10.77.0.0/24" }),
  );
  const ids = new Map<Peer, string>();
  return {
    config: () => ({ ec2_tagname: EC2.tag, ...basename, endpoint: `http://${at("moto")}`, ...every }),
    async enter(peer) {
      const { Instances } = await client.send(
        new RunInstancesCommand({
          ...{ ImageId: "ami-12c6146b", MinCount: 1, MaxCount: 1, SubnetId: Subnet!.SubnetId! },
          PrivateIpAddress: peer.host.address,
          TagSpecifications: [{ ResourceType: "instance", Tags: [{ Key: EC2.tag, Value: EC2.value }] }],
        }),
      );
      ids.set(peer, Instances![0]!.InstanceId!);
    },
    async leave(peer) {
      await client.send(new TerminateInstancesCommand({ InstanceIds: [ids.get(peer)!] }));
    },
    async close() {
      client.destroy();
      await Promise.all([moto.stop(), metadata.stop()]);
    },
  };
}

async function consul({ relay }: Services): Promise<Source> {
  const agent = await startConsul();
  const { hostname: host, port } = new URL(agent.url);
  relay.lead(at("consul"), { host, port: Number(port) });
  const access_token = await agent.tokenWith(
    'service "app" { policy = "write" } node_prefix "" { policy = "read" } agent_prefix "" { policy = "read" }',
  );
  return {
    config: () => ({
      ...{ base_url: `http://${at("consul")}`, access_token, service: "app", passing: true, ...basename },
      register: true,
    }),
    close: () => agent.stop(),
  };
}

async function postgres({ relay }: Services): Promise<Source> {
  const server = await startPostgres();
  relay.lead(at("postgres"), server);
  const { user: username, password, database } = server;
  return {
    config: () => ({
      ...{ hostname: SERVICES, username, password, database },
      ...{ heartbeat_interval: 300, payload: "heartbeat" },
    }),
    close: () => server.remove(),
  };
}
