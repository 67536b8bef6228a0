import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Discovery, Strategy } from "@isthmus/strategies";
import { afterAll, afterEach, beforeAll } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { type Certificate, Certificates } from "../../../dist-handshake/test/support/certificates.ts";
import { type KubernetesOptions, kubernetes } from "../../src/kubernetes/index.ts";
import { recordingLogger } from "../support/fake-cluster.ts";
import { ApiServer } from "./api-server.ts";

/** What one test of the strategy has; all of it ends with the test. */
export interface Run {
  readonly strategy: Strategy;
  readonly clock: FakeClock;
  readonly reports: readonly Discovery[];
  readonly logger: ReturnType<typeof recordingLogger>;
  /** The last report; of a failure its code. */
  readonly last: readonly string[] | string | undefined;
  /** Ends as a topology that is stopped does. */
  readonly abort: AbortController;
}

/** A service account folder, as Kubernetes mounts it into a container. */
export interface ServiceAccount {
  readonly folder: string;
  write(file: "token" | "ca.crt" | "namespace", content: string): void;
  remove(file: "token" | "ca.crt" | "namespace"): void;
}

/** Certificates, an API and a service account for the tests of one file. */
export class Workbench {
  readonly certificates = new Certificates();
  readonly authority = this.certificates.authority("kubernetes");
  readonly identity: Certificate = this.certificates.certificate(
    "apiserver",
    this.authority,
    "DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1",
  );
  readonly #folders: string[] = [];
  readonly #running: { strategy: Strategy; abort: AbortController }[] = [];
  readonly #servers: ApiServer[] = [];

  /** A service account that {@link Workbench.api} accepts. */
  serviceAccount(): ServiceAccount {
    const folder = mkdtempSync(join(tmpdir(), "isthmus-service-account-"));
    this.#folders.push(folder);
    mkdirSync(folder, { recursive: true });
    const write: ServiceAccount["write"] = (file, content) => writeFileSync(join(folder, file), content);
    write("token", "first-token\n");
    write("ca.crt", this.authority.cert);
    write("namespace", "default");
    return { folder, write, remove: (file) => rmSync(join(folder, file)) };
  }

  async api(identity: Parameters<typeof ApiServer.start>[0] = this.identity): Promise<ApiServer> {
    const server = await ApiServer.start(identity);
    this.#servers.push(server);
    return server;
  }

  /** Starts the strategy against `api`, with a service account of its own unless told. */
  start(
    api: ApiServer,
    options: Partial<KubernetesOptions> & {
      readonly compat?: boolean;
      readonly account?: ServiceAccount;
    } = {},
  ): Run {
    const { compat = false, account = this.serviceAccount(), ...given } = options;
    const strategy = kubernetes({
      nodeBasename: "shop",
      selector: "app=shop",
      master: api.url,
      serviceAccountPath: account.folder,
      ...given,
    });
    const abort = new AbortController();
    const clock = new FakeClock();
    const reports: Discovery[] = [];
    const logger = recordingLogger();
    this.#running.push({ strategy, abort });
    strategy.start({
      self: "bridge@10.244.0.2",
      report: (discovery) => reports.push(discovery),
      logger,
      clock,
      signal: abort.signal,
      compat,
    });
    return {
      strategy,
      clock,
      reports,
      logger,
      abort,
      get last() {
        const report = reports.at(-1);
        return report === undefined || report.ok ? report?.nodes : report.error.code;
      },
    };
  }

  async endTest(): Promise<void> {
    for (const { abort } of this.#running) abort.abort();
    await Promise.all(this.#running.splice(0).map(({ strategy }) => strategy.stop()));
    await Promise.all(this.#servers.splice(0).map((server) => server.stop()));
    for (const folder of this.#folders.splice(0)) rmSync(folder, { recursive: true });
  }
}

/** A workbench for this test file. */
export function workbench(): () => Workbench {
  let bench: Workbench;
  beforeAll(() => {
    bench = new Workbench();
  });
  afterEach(() => bench.endTest());
  afterAll(() => bench.certificates.remove());
  return () => bench;
}

/** Waits until `condition` holds, while the clock stands. */
export async function until(condition: () => boolean): Promise<void> {
  await eventually(condition, () => undefined);
}

/** Waits until `condition` holds, while the clock goes on by `ms` at a time. */
export async function passing(clock: FakeClock, ms: number, condition: () => boolean): Promise<void> {
  await eventually(condition, () => clock.advance(ms));
}

async function eventually(condition: () => boolean, step: () => void): Promise<void> {
  for (const end = Date.now() + 30_000; !condition(); ) {
    if (Date.now() > end) throw new Error(`This did not come true: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
    step();
  }
}
