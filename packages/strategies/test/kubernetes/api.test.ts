import { text } from "node:stream/consumers";
import { expect, it, vi } from "vitest";
import { kubernetesApi, statusOf } from "../../src/kubernetes/index.ts";
import type { ApiServer } from "./api-server.ts";
import { workbench } from "./workbench.ts";

const bench = workbench();
const signal = (): AbortSignal => AbortSignal.timeout(10_000);

/** Answers every request with what came. */
function echo(api: ApiServer): void {
  api.intercept = ({ path, authorization, answer }) => {
    const { method, headers } = answer.req;
    void text(answer.req).then((body) =>
      answer.end(JSON.stringify({ method, path, authorization, type: headers["content-type"], body })),
    );
    return true;
  };
}

it("writes objects, with a token and an authority that are given", async () => {
  const server = await bench().api();
  echo(server);
  const api = kubernetesApi({
    url: server.url,
    token: "given",
    ca: bench().authority.cert,
    namespace: "shop",
  });
  expect(await api.namespace()).toBe("shop");
  expect(await api.json("/a", {}, signal(), { method: "PUT", body: { b: 1 } })).toEqual({
    ...{ method: "PUT", path: "/a", authorization: "Bearer given" },
    ...{ type: "application/json", body: '{"b":1}' },
  });
  expect(await api.json("/a", {}, signal())).toMatchObject({ method: "GET", body: "" });
});

it("is what Kubernetes tells every container, when nothing is given", async () => {
  const server = await bench().api();
  vi.stubEnv("KUBERNETES_SERVICE_HOST", "127.0.0.1");
  vi.stubEnv("KUBERNETES_SERVICE_PORT", String(server.port));
  const api = kubernetesApi({ serviceAccountPath: bench().serviceAccount().folder });
  vi.unstubAllEnvs();
  expect(await api.namespace()).toBe("default");
  echo(server);
  expect(await api.json("/a", {}, signal())).toMatchObject({ authorization: "Bearer first-token" });
});

it("tells the status of what was refused", async () => {
  const server = await bench().api();
  const api = kubernetesApi({ url: server.url, token: "wrong", ca: bench().authority.cert });
  const error: unknown = await api.json("/a", {}, signal()).catch((reason: unknown) => reason);
  expect(statusOf(error)).toBe(401);
  expect(String(error)).not.toContain("wrong");
});
