import { generateKeyPairSync } from "node:crypto";
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request as tlsRequest } from "node:https";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./epmd.ts";
import { OwnedProcess } from "./owned-process.ts";

/** Any object of the API. */
export type ApiObject = Readonly<Record<string, unknown>> & {
  readonly kind: string;
  readonly metadata: { readonly name: string };
};

/** A real Kubernetes API server with an etcd of its own, on loopback. It is without nodes, controllers and scheduler. */
export interface Kubernetes {
  readonly url: string;
  readonly port: number;
  /** The authority of its certificate, which is for 127.0.0.1. */
  readonly ca: string;
  /** May do everything. */
  readonly token: string;
  readonly output: string;
  /** A request as an administrator. @returns the JSON. @throws for a status other than 2xx */
  request(method: "GET" | "POST" | "PUT" | "DELETE", path: string, body?: unknown): Promise<unknown>;
  /** Creates an object in a namespace, as `kubectl create` does. */
  create(namespace: string, object: ApiObject): Promise<void>;
  /** A token of a service account, as a pod gets it. */
  tokenOf(namespace: string, account: string): Promise<string>;
  /** A Lease; undefined when there is none. */
  lease(
    namespace: string,
    name: string,
  ): Promise<{ readonly spec: Readonly<Record<string, unknown>> } | undefined>;
  /** A program of its folder, such as client-go's leader election, as an administrator. */
  run(program: string, args: readonly string[]): Promise<OwnedProcess>;
  /** Ends the API server, at once; what it keeps stays. Any number of times. */
  stop(): Promise<void>;
  /** Starts it again on its port. */
  start(): Promise<void>;
  /** Stops it without its connections, which then hang; and lets it go on. */
  pause(): Promise<void>;
  resume(): void;
  /** Ends all and forgets all. */
  remove(): Promise<void>;
}

const PLURALS: Readonly<Record<string, string>> = {
  ServiceAccount: "/api/v1/namespaces/NS/serviceaccounts",
  Role: "/apis/rbac.authorization.k8s.io/v1/namespaces/NS/roles",
  RoleBinding: "/apis/rbac.authorization.k8s.io/v1/namespaces/NS/rolebindings",
  Lease: "/apis/coordination.k8s.io/v1/namespaces/NS/leases",
};

/** Whether the tests that need it are to be skipped: where it cannot be built. */
export const kubernetesMissing: boolean = process.env["ISTHMUS_KUBERNETES"] === "none";

/** Starts it and waits until it is ready. @throws if it is not there, or with its output */
export async function startKubernetes(): Promise<Kubernetes> {
  const programs = requireKubernetes();
  const folder = mkdtempSync(join(tmpdir(), "isthmus-kubernetes-"));
  const server = new RunningKubernetes(programs, folder, await freePort());
  try {
    await server.startEtcd();
    await server.start();
  } catch (error) {
    await server.remove();
    throw error;
  }
  return server;
}

function requireKubernetes(): string {
  const folder = process.env["ISTHMUS_KUBERNETES"] || join(homedir(), ".cache/isthmus/services/kubernetes");
  const programs = join(folder, "bin");
  try {
    for (const one of ["etcd", "kube-apiserver", "leader-election"])
      accessSync(join(programs, one), constants.X_OK);
    return programs;
  } catch {
    throw new Error(
      `There is no Kubernetes API server in ${folder}. Make it with scripts/kubernetes-tree.sh, or set ISTHMUS_KUBERNETES to its folder.`,
    );
  }
}

class RunningKubernetes implements Kubernetes {
  readonly port: number;
  readonly token = "s3cret-of-administrator";
  readonly #programs: string;
  readonly #folder: string;
  #etcd: OwnedProcess | undefined;
  #etcdPort = 0;
  #api: OwnedProcess | undefined;

  constructor(programs: string, folder: string, port: number) {
    this.#programs = programs;
    this.#folder = folder;
    this.port = port;
    writeFileSync(join(folder, "tokens.csv"), `${this.token},administrator,1,"system:masters"\n`);
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const pem = privateKey.export({ type: "pkcs1", format: "pem" });
    writeFileSync(join(folder, "service-accounts.key"), pem);
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  get ca(): string {
    return readFileSync(join(this.#folder, "tls", "apiserver.crt"), "utf8");
  }

  get output(): string {
    return this.#api?.output ?? "";
  }

  async startEtcd(): Promise<void> {
    const [client, peer] = await Promise.all([freePort(), freePort()]);
    const [urls, peers] = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`];
    this.#etcdPort = client;
    const args = [
      `--data-dir=${join(this.#folder, "etcd")}`,
      `--listen-client-urls=${urls}`,
      `--advertise-client-urls=${urls}`,
      `--listen-peer-urls=${peers}`,
      `--initial-advertise-peer-urls=${peers}`,
      `--initial-cluster=default=${peers}`,
      "--log-level=error",
    ];
    this.#etcd = await OwnedProcess.start("etcd", join(this.#programs, "etcd"), args, {});
  }

  async start(): Promise<void> {
    const key = join(this.#folder, "service-accounts.key");
    const args = [
      `--etcd-servers=http://127.0.0.1:${this.#etcdPort}`,
      "--bind-address=127.0.0.1",
      "--advertise-address=127.0.0.1",
      `--secure-port=${this.port}`,
      `--cert-dir=${join(this.#folder, "tls")}`,
      `--token-auth-file=${join(this.#folder, "tokens.csv")}`,
      "--authorization-mode=RBAC",
      `--service-account-key-file=${key}`,
      `--service-account-signing-key-file=${key}`,
      "--service-account-issuer=https://kubernetes.default.svc",
      "--service-cluster-ip-range=10.96.0.0/24",
      "--endpoint-reconciler-type=none",
    ];
    const api = await OwnedProcess.start(
      `Kubernetes on port ${this.port}`,
      join(this.#programs, "kube-apiserver"),
      args,
      {},
    );
    this.#api = api;
    for (const end = Date.now() + 60_000; api.running && Date.now() < end; await sleep(100)) {
      if (await this.#isReady()) return;
    }
    await api.kill();
    throw new Error(`Kubernetes did not start on port ${this.port}. It printed:\n${api.output}`);
  }

  async stop(): Promise<void> {
    await this.#api?.kill();
  }

  async pause(): Promise<void> {
    await this.#api?.pause();
  }

  resume(): void {
    this.#api?.resume();
  }

  async remove(): Promise<void> {
    await this.stop();
    await this.#etcd?.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async request(method: "GET" | "POST" | "PUT" | "DELETE", path: string, body?: unknown): Promise<unknown> {
    const { status, text } = await this.#exchange(method, path, body);
    if (status < 200 || status > 299) throw new Error(`Kubernetes answered ${path} with ${status}: ${text}`);
    return JSON.parse(text);
  }

  async create(namespace: string, object: ApiObject): Promise<void> {
    const path = PLURALS[object.kind];
    if (path === undefined) throw new Error(`This does not create objects of the kind ${object.kind}.`);
    await this.request("POST", path.replace("NS", namespace), object);
  }

  async tokenOf(namespace: string, account: string): Promise<string> {
    const body = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: { expirationSeconds: 3600 },
    };
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
    const { status } = (await this.request("POST", path, body)) as { status: { token: string } };
    return status.token;
  }

  async lease(
    namespace: string,
    name: string,
  ): Promise<{ readonly spec: Readonly<Record<string, unknown>> } | undefined> {
    const { status, text } = await this.#exchange(
      "GET",
      `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${name}`,
    );
    return status === 404 ? undefined : JSON.parse(text);
  }

  run(program: string, args: readonly string[]): Promise<OwnedProcess> {
    const file = join(this.#folder, "kubeconfig");
    const cluster = {
      server: this.url,
      "certificate-authority-data": Buffer.from(this.ca).toString("base64"),
    };
    // JSON is YAML
    const configuration = {
      ...{ apiVersion: "v1", kind: "Config", "current-context": "this" },
      clusters: [{ name: "this", cluster }],
      users: [{ name: "this", user: { token: this.token } }],
      contexts: [{ name: "this", context: { cluster: "this", user: "this" } }],
    };
    writeFileSync(file, JSON.stringify(configuration));
    const all = [`-kubeconfig=${file}`, ...args];
    return OwnedProcess.start(program, join(this.#programs, program), all, {});
  }

  /** Ready, and the namespace is there that it makes after that. */
  async #isReady(): Promise<boolean> {
    const answers = await Promise.all(
      ["/readyz", "/api/v1/namespaces/default"].map((path) =>
        this.#exchange("GET", path).catch(() => undefined),
      ),
    );
    return answers.every((answer) => answer?.status === 200);
  }

  async #exchange(method: string, path: string, body?: unknown): Promise<{ status: number; text: string }> {
    const { ca } = this;
    return new Promise((resolve, reject) => {
      const request = tlsRequest(new URL(path, this.url), {
        method,
        ca,
        agent: false,
        headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" },
      });
      request.on("error", reject);
      request.on("response", (response) => {
        const chunks: Buffer[] = [];
        response.on("error", reject);
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
        );
      });
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}
