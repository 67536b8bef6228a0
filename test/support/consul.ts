import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./epmd.ts";
import { OwnedProcess } from "./owned-process.ts";

/** A service instance as Consul's agent takes it: `{ ID, Name, Address, Port, Tags, Meta, Check }`. */
export type ServiceEntry = Readonly<Record<string, unknown>> & { readonly Name: string };

/** A real Consul server and agent in one, on loopback, that refuses whoever has no token. It keeps nothing on disk. */
export interface Consul {
  readonly url: string;
  /** May do everything. */
  readonly token: string;
  readonly output: string;
  /** A request with the token; `path` begins after `/v1`. @returns the JSON. @throws for a status other than 2xx */
  request(method: "GET" | "PUT", path: string, body?: unknown): Promise<unknown>;
  register(entry: ServiceEntry): Promise<void>;
  deregister(id: string): Promise<void>;
  /** @returns a token with these rules, such as `service_prefix "" { policy = "read" }` */
  tokenWith(rules: string): Promise<string>;
  /** Makes this and another datacenter know each other. */
  join(other: Consul): Promise<void>;
  /** Ends it, keeping its ports. Any number of times. */
  stop(): Promise<void>;
  /** Starts it again: it has forgotten everything but its token. */
  start(): Promise<void>;
}

const ROOT_TOKEN = "0b7e1c2a-5c1b-4f3e-9a55-2f6a1de0c001";

/** Starts Consul and waits until it leads itself. @throws if it is not there, or with its output */
export async function startConsul({
  datacenter = "dc1",
}: {
  readonly datacenter?: string;
} = {}): Promise<Consul> {
  const program = requireConsul();
  const [http, server, lan, wan] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  const consul = new RunningConsul(program, datacenter, { http, server, lan, wan });
  await consul.start();
  return consul;
}

function requireConsul(): string {
  const folder = process.env["ISTHMUS_CONSUL"] || join(homedir(), ".cache/isthmus/services/consul");
  const program = join(folder, "usr/bin/consul");
  try {
    accessSync(program, constants.X_OK);
    return program;
  } catch {
    throw new Error(
      `There is no Consul in ${folder}. Install it there, or set ISTHMUS_CONSUL to its folder.`,
    );
  }
}

interface Ports {
  readonly http: number;
  readonly server: number;
  readonly lan: number;
  readonly wan: number;
}

class RunningConsul implements Consul {
  readonly url: string;
  readonly token = ROOT_TOKEN;
  readonly ports: Ports;
  readonly #program: string;
  readonly #datacenter: string;
  #child: OwnedProcess | undefined;

  constructor(program: string, datacenter: string, ports: Ports) {
    this.url = `http://127.0.0.1:${ports.http}`;
    this.ports = ports;
    this.#program = program;
    this.#datacenter = datacenter;
  }

  get output(): string {
    return this.#child?.output ?? "";
  }

  async start(): Promise<void> {
    // meanwhile someone's outgoing connection may have taken one of the ports, for a while
    for (const end = Date.now() + 30_000; ; await sleep(200)) {
      const child = await this.#launch();
      if (await this.#ready(child)) return;
      await child.kill();
      if (Date.now() > end)
        throw new Error(`Consul did not start at ${this.url}. It printed:\n${child.output}`);
    }
  }

  async stop(): Promise<void> {
    await this.#child?.kill();
  }

  async request(method: "GET" | "PUT", path: string, body?: unknown): Promise<unknown> {
    const answer = await fetch(`${this.url}/v1${path}`, {
      method,
      headers: { "x-consul-token": this.token },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`Consul answered ${path} with ${answer.status}: ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  async register(entry: ServiceEntry): Promise<void> {
    await this.request("PUT", "/agent/service/register", entry);
  }

  async deregister(id: string): Promise<void> {
    await this.request("PUT", `/agent/service/deregister/${id}`);
  }

  async tokenWith(rules: string): Promise<string> {
    const name = `policy-${Math.random().toString(36).slice(2)}`;
    const policy = (await this.request("PUT", "/acl/policy", { Name: name, Rules: rules })) as { ID: string };
    const token = await this.request("PUT", "/acl/token", { Policies: [{ ID: policy.ID }] });
    return (token as { SecretID: string }).SecretID;
  }

  async join(other: Consul): Promise<void> {
    const { wan } = (other as RunningConsul).ports;
    await this.request("PUT", `/agent/join/127.0.0.1:${wan}?wan=true`);
  }

  async #launch(): Promise<OwnedProcess> {
    const folder = mkdtempSync(join(tmpdir(), "isthmus-consul-"));
    const file = join(folder, "consul.json");
    writeFileSync(file, JSON.stringify(this.#configuration()));
    const args = ["agent", "-dev", `-config-file=${file}`, "-log-level=warn"];
    const child = await OwnedProcess.start(`consul ${this.#datacenter}`, this.#program, args, {});
    void child.exited.then(() => rmSync(folder, { recursive: true, force: true }));
    this.#child = child;
    return child;
  }

  #configuration(): object {
    const { http, server, lan, wan } = this.ports;
    return {
      datacenter: this.#datacenter,
      node_name: `agent-${this.#datacenter}`,
      bind_addr: "127.0.0.1",
      client_addr: "127.0.0.1",
      disable_update_check: true,
      ports: { http, server, serf_lan: lan, serf_wan: wan, dns: -1, grpc: -1 },
      acl: { enabled: true, default_policy: "deny", tokens: { master: this.token, agent: this.token } },
    };
  }

  async #ready(child: OwnedProcess): Promise<boolean> {
    for (const end = Date.now() + 30_000; child.running && Date.now() < end; await sleep(20)) {
      // a leader may not yet know the token
      const known = await this.request("GET", "/catalog/nodes").catch(() => undefined);
      if (Array.isArray(known) && known.length > 0) return true;
    }
    return false;
  }
}
