import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  type KubernetesLeaseOptions,
  kubernetesLease,
} from "../../packages/bridge/src/trunk/lease-kubernetes.ts";
import {
  type ApiObject,
  type Kubernetes,
  kubernetesMissing,
  startKubernetes,
} from "../support/kubernetes.ts";
import { OwnedProcess } from "../support/owned-process.ts";
import { print, type Rivals, rivals } from "./rivals.ts";
import { ending } from "./sites.ts";

const { parseAllDocuments } = createRequire(new URL("../../packages/bridge/package.json", import.meta.url))(
  "yaml",
) as { parseAllDocuments(text: string): readonly { toJS(): ApiObject }[] };

const LOADER = fileURLToPath(new URL("../discovery/typescript.mjs", import.meta.url));
const CONTENDER = fileURLToPath(new URL("lease-contender.ts", import.meta.url));
const patiently = { timeout: 30_000, interval: 20 };
const ttlMs = 3_000;

/** The objects that the documentation says are needed. */
function documented(): readonly ApiObject[] {
  const page = readFileSync(
    new URL("../../packages/bridge/docs/high-availability.md", import.meta.url),
    "utf8",
  );
  const block = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].find(([, text]) =>
    text!.includes("kind: Role"),
  );
  return parseAllDocuments(block![1]!).map((document) => document.toJS());
}

describe.skipIf(kubernetesMissing)(
  "a lease in Kubernetes, with the rights that the documentation gives",
  () => {
    let kubernetes: Kubernetes;
    let token: string;
    let names = 0;

    beforeAll(async () => {
      kubernetes = await startKubernetes();
      for (const object of documented()) await kubernetes.create("default", object);
      token = await kubernetes.tokenOf("default", "isthmus");
    }, 120_000);
    afterAll(() => kubernetes?.remove());

    const options = (name: string, more: Partial<KubernetesLeaseOptions> = {}): KubernetesLeaseOptions => ({
      ...{ name, ttlMs, retryMs: 200, namespace: "default" },
      ...{ url: kubernetes.url, ca: kubernetes.ca, token },
      ...more,
    });
    const start = (): Promise<Rivals> => {
      const name = `test-${++names}`;
      return rivals(kubernetes.port, (port) =>
        kubernetesLease(options(name, { url: `https://127.0.0.1:${port}` })),
      );
    };
    const spec = async (): Promise<Readonly<Record<string, unknown>>> =>
      (await kubernetes.lease("default", `test-${names}`))!.spec;
    const logged = (lines: string[]) => {
      const log = (fields: object, message: string): void =>
        void lines.push(JSON.stringify({ ...fields, message }));
      return { debug: log, info: log, warn: log, error: log };
    };

    it("given back: the other has it at the next attempt", async () => {
      const pair = await start();
      await pair.first.acquire();
      const before = await spec();
      expect(before).toMatchObject({ leaseDurationSeconds: 3, leaseTransitions: 0 });
      print("Kubernetes, given back", await pair.takeover(() => pair.first.release()));
      expect(pair.lost).toEqual([]);
      expect(await spec()).toMatchObject({ leaseTransitions: 1 });
      expect((await spec())["holderIdentity"]).not.toBe(before["holderIdentity"]);
      await pair.second.release();
      expect(await spec()).toMatchObject({ holderIdentity: "", leaseDurationSeconds: 1 });
    });

    it("holder cut off silently: it stops itself, then the other has it", async () => {
      const pair = await start();
      await pair.first.acquire();
      print("Kubernetes, holder cut off", await pair.takeover(() => pair.ways[0].stall()));
      expect(pair.lost).toEqual(["first LEASE_LOST"]);
    });

    it("connections that are cut do not matter: each request has one of its own", async () => {
      const pair = await start();
      await pair.first.acquire();
      const waiting = pair.second.acquire(AbortSignal.timeout(2 * ttlMs));
      const cutting = setInterval(() => pair.ways[0].cutAll(), 1_000);
      await expect(waiting).rejects.toThrow();
      clearInterval(cutting);
      expect([pair.first.held, pair.lost, pair.faults]).toEqual([true, [], []]);
    });

    it("the API server is away: the holder stops in time; when it is back, someone gets it", async () => {
      const pair = await start();
      await pair.first.acquire();
      const waiting = pair.second.acquire();
      await kubernetes.stop();
      await expect.poll(() => pair.lost, patiently).toEqual(["first LEASE_LOST"]);
      expect([pair.first.held, pair.second.held]).toEqual([false, false]);
      await kubernetes.start();
      await waiting;
      expect([pair.first.held, pair.second.held, pair.faults]).toEqual([false, true, []]);
    }, 120_000);

    it("the API server hangs: the same, and nobody waits for its answers for ever", async () => {
      const pair = await start();
      await pair.first.acquire();
      const waiting = pair.second.acquire();
      await kubernetes.pause();
      await expect.poll(() => pair.lost, patiently).toEqual(["first LEASE_LOST"]);
      await expect(pair.first.renew()).rejects.toMatchObject({ code: "LEASE_LOST" });
      kubernetes.resume();
      await waiting;
      expect([pair.first.held, pair.second.held, pair.faults]).toEqual([false, true, []]);
    }, 120_000);

    it("a Lease that is deleted: the holder hears of it when it renews, and nobody has it before", async () => {
      const pair = await start();
      await pair.first.acquire();
      await pair.takeover(() =>
        kubernetes.request("DELETE", `/apis/coordination.k8s.io/v1/namespaces/default/leases/test-${names}`),
      );
      expect(pair.lost).toEqual(["first LEASE_LOST"]);
    });

    it("labels that somebody gives it do not matter, and stay", async () => {
      const pair = await start();
      await pair.first.acquire();
      const path = `/apis/coordination.k8s.io/v1/namespaces/default/leases/test-${names}`;
      const given = (await kubernetes.request("GET", path)) as { metadata: object };
      await kubernetes.request("PUT", path, {
        ...given,
        metadata: { ...given.metadata, labels: { team: "north" } },
      });
      await pair.first.renew();
      const kept = (await kubernetes.request("GET", path)) as { metadata: object };
      expect(kept.metadata).toMatchObject({ labels: { team: "north" } });
      expect(pair.lost).toEqual([]);
    });

    it("the wrong clock of a holder does not matter while it renews, nor when it has stopped", async () => {
      const path = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
      const lease = ending(kubernetesLease(options("clocks")), (one) => one.release());
      let object = (await kubernetes.request("POST", path, {
        ...{ apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name: "clocks" } },
        spec: { holderIdentity: "other", leaseDurationSeconds: 6, renewTime: "1990-01-01T00:00:00.000000Z" },
      })) as { spec: object };
      const waiting = lease.acquire();
      // ten renewals by the clocks of two other centuries
      let renewed = 0;
      for (let i = 0; i < 10; i++) {
        const renewTime = i % 2 === 0 ? `2150-01-01T00:00:0${i}.000000Z` : `1950-01-01T00:00:0${i}.000000Z`;
        renewed = performance.now();
        object = (await kubernetes.request("PUT", `${path}/clocks`, {
          ...object,
          spec: { ...object.spec, renewTime },
        })) as { spec: object };
        await sleep(800);
        expect(lease.held).toBe(false);
      }
      await waiting;
      expect(performance.now() - renewed).toBeGreaterThanOrEqual(6_000);
    });

    it("in a pod nothing needs to be said; a token that is replaced is used", async () => {
      const folder = ending(mkdtempSync(join(tmpdir(), "isthmus-service-account-")), (path) =>
        rmSync(path, { recursive: true }),
      );
      await kubernetes.create("default", { kind: "ServiceAccount", metadata: { name: "rotated" } });
      const bind = documented().find(({ kind }) => kind === "RoleBinding")!;
      const subjects = [{ kind: "ServiceAccount", name: "rotated" }];
      await kubernetes.create("default", { ...bind, metadata: { name: "rotated" }, subjects } as ApiObject);
      writeFileSync(join(folder, "token"), await kubernetes.tokenOf("default", "rotated"));
      writeFileSync(join(folder, "ca.crt"), kubernetes.ca);
      writeFileSync(join(folder, "namespace"), "default");
      vi.stubEnv("KUBERNETES_SERVICE_HOST", "127.0.0.1");
      vi.stubEnv("KUBERNETES_SERVICE_PORT", String(kubernetes.port));
      const lease = ending(
        kubernetesLease({ name: "in-a-pod", ttlMs: 9_000, serviceAccountPath: folder }),
        (one) => one.release(),
      );
      vi.unstubAllEnvs();
      await lease.acquire();

      // tokens end with their service account, even if there is one of that name again
      const account = "/api/v1/namespaces/default/serviceaccounts/rotated";
      await kubernetes.request("DELETE", account);
      await expect
        .poll(() => lease.renew().then(String, String), patiently)
        .toContain("could not be renewed");
      await kubernetes.create("default", { kind: "ServiceAccount", metadata: { name: "rotated" } });
      writeFileSync(join(folder, "token"), await kubernetes.tokenOf("default", "rotated"));
      await expect.poll(() => lease.renew().then(String, String), patiently).toBe("undefined");
      expect(lease.held).toBe(true);
    });

    it.each([
      ["without rights", 403, async () => options("denied", { namespace: "kube-system" }), "needs a Role"],
      ["that is none", 401, async () => options("denied", { token: "s3cret.s3cret" }), "Check the token"],
    ])("a token %s is named as the fault, and not shown", async (_what, status, given, said) => {
      const lines: string[] = [];
      const lease = kubernetesLease({ ...(await given()), logger: logged(lines) });
      const controller = new AbortController();
      const waiting = lease.acquire(controller.signal);
      await expect.poll(() => lines.join(""), patiently).toContain(said);
      expect(lines.join("")).toContain(String(status));
      expect(lines.join("")).not.toContain("s3cret");
      expect(lines.join("")).not.toContain(token);
      controller.abort(new Error("enough"));
      await expect(waiting).rejects.toThrow("enough");
    });

    it("client-go's own leader election and ours hand it to each other", async () => {
      const lease = ending(kubernetesLease(options("shared")), (one) => one.release());
      await lease.acquire();
      const { holderIdentity } = (await kubernetes.lease("default", "shared"))!.spec;
      const other = await kubernetes.run("leader-election", [
        ...["-lease-lock-name=shared", "-lease-lock-namespace=default", "-id=client-go"],
      ]);
      await expect.poll(() => other.output, patiently).toContain(`new leader elected: ${holderIdentity}`);
      expect(lease.held).toBe(true);
      await lease.release();
      await expect.poll(() => other.output, patiently).toContain("successfully acquired lease");
      const waiting = lease.acquire();
      await sleep(1_000);
      expect(lease.held).toBe(false);
      expect((await kubernetes.lease("default", "shared"))!.spec).toMatchObject({
        holderIdentity: "client-go",
      });
      await other.stop();
      expect(other.output).toContain("leader lost: client-go");
      await waiting;
      expect(lease.held).toBe(true);
    });

    it("three processes that are stopped, killed and started never hold it at once", async () => {
      const given = JSON.stringify({ options: options("fought-over"), keepMs: 2_000 });
      const args = ["--conditions=@isthmus/source", "--import", LOADER, CONTENDER, given];
      const all: OwnedProcess[] = [];
      const begin = async (): Promise<OwnedProcess> => {
        const one = ending(await OwnedProcess.start("contender", process.execPath, args, {}), (it) =>
          it.kill(),
        );
        all.push(one);
        return one;
      };
      const running = [await begin(), await begin(), await begin()];
      const spans = (): { readonly from: number; readonly until: number }[] =>
        all.flatMap(({ output }) => {
          const found: { from: number; until: number }[] = [];
          for (const line of output.split("\n").slice(0, -1)) {
            const time = Number(line.slice(1));
            if (line.startsWith("+")) found.push({ from: time, until: time });
            else if (line.startsWith("=")) found.at(-1)!.until = time;
            else throw new Error(line);
          }
          return found;
        });
      await expect.poll(() => spans().length, patiently).toBeGreaterThan(0);
      for (let round = 0; round < 8; round++) {
        const at = round % running.length;
        if (round % 4 === 3) {
          await running[at]!.kill();
          running[at] = await begin();
        } else {
          await running[at]!.pause();
          await sleep(round % 2 === 0 ? ttlMs : 500);
          running[at]!.resume();
        }
        await sleep(1_000);
      }
      await expect.poll(() => spans().length, { timeout: 60_000 }).toBeGreaterThan(4);
      const found = spans().sort((a, b) => a.from - b.from);
      for (const [i, { from }] of found.entries()) {
        if (i > 0) expect(from).toBeGreaterThan(found[i - 1]!.until);
      }
      process.stdout.write(`three contenders: held ${found.length} times, by ${all.length} processes\n`);
    }, 300_000);
  },
);
