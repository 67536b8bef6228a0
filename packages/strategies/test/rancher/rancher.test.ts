import { createServer, type RequestListener, type Server } from "node:http";
import { loadStrategy } from "@isthmus/strategies";
import { rancher } from "@isthmus/strategies/rancher";
import { afterEach, describe, expect, it } from "vitest";
import { strategyCompliance } from "../compliance.ts";
import { run } from "../dns/context.ts";

// a service as the metadata service of Rancher 1.x describes it, with what matters and some of the rest
const service = (containers: readonly unknown[]) => ({
  name: "shop",
  stack_name: "orders",
  kind: "service",
  scale: containers.length,
  system: false,
  containers,
});
const container = (name: string, ips: readonly unknown[] | undefined) => ({
  name,
  health_state: null,
  host_uuid: "5a6b",
  ips,
  labels: { "io.rancher.container.network": "true" },
  primary_ip: ips?.[0] ?? "",
  state: "running",
});
const shop = service([container("shop-1", ["10.42.0.1", "172.17.0.2"]), container("shop-2", ["10.42.0.2"])]);

interface Metadata {
  readonly url: string;
  readonly requests: { readonly url: string | undefined; readonly accept: string | undefined }[];
  respond: RequestListener;
  close(): Promise<void>;
}

const json =
  (body: unknown, status = 200): RequestListener =>
  (_, response) =>
    void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));

let ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.reverse()) await end();
  ends = [];
});

async function metadata(respond: RequestListener): Promise<Metadata> {
  const server: Server = createServer((request, response) => {
    started.requests.push({ url: request.url, accept: request.headers.accept });
    started.respond(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const started: Metadata = {
    url: `http://127.0.0.1:${port}/latest`,
    requests: [],
    respond,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return started;
}

strategyCompliance("rancher", {
  source: async () => {
    const started = await metadata(json(shop));
    return {
      nodes: ["shop@10.42.0.1", "shop@10.42.0.2"],
      make: () => rancher({ nodeBasename: "shop", baseUrl: started.url }),
      fail: () => {
        started.respond = json({ message: "no" }, 503);
      },
      close: () => started.close(),
    };
  },
  badOptions: {
    "a missing basename": () => rancher.from({}),
    "an impossible basename": () => rancher.from({ node_basename: "a b" }),
    "a URL of another kind": () => rancher.from({ node_basename: "shop", base_url: "ftp://rancher" }),
    "a URL with a password": () => rancher.from({ node_basename: "shop", base_url: "http://a:b@rancher" }),
  },
});

async function running(respond: RequestListener, options: object = {}, compat = false) {
  const started = await metadata(respond);
  ends.push(() => started.close());
  const factory = await loadStrategy("Cluster.Strategy.Rancher");
  const poll = run(factory.from({ node_basename: "shop", base_url: started.url, ...options }), { compat });
  ends.push(() => poll.stop());
  return { started, poll, first: await poll.next() };
}

describe("rancher", () => {
  it("asks for our own service, as libcluster does", async () => {
    const { started, poll } = await running(json(shop));
    expect(started.requests).toEqual([{ url: "/latest/self/service", accept: "application/json" }]);
    expect(poll.last).toEqual(["shop@10.42.0.1", "shop@10.42.0.2"]);
  });

  it("asks for another service where it is told", async () => {
    const { started } = await running(json(shop), { service: "stacks/orders/services/shop" });
    expect(started.requests[0]!.url).toBe("/latest/stacks/orders/services/shop");
  });

  it("leaves out containers without an address", async () => {
    const containers = [container("a", []), container("b", undefined), "c", null, container("d", [7])];
    const { poll } = await running(json(service([...containers, container("e", ["10.42.0.5"])])));
    expect(poll.last).toEqual(["shop@10.42.0.5"]);
  });

  it("a service without containers is an empty list", async () => {
    const { first } = await running(json(service([])));
    expect(first).toEqual({ ok: true, nodes: [] });
  });

  it.each<[string, RequestListener, object]>([
    ["404", json("Not found", 404), { code: "HTTP_STATUS", context: { status: 404 } }],
    ["500", json("Oops", 500), { code: "HTTP_STATUS", context: { status: 500 } }],
    ["what is not JSON", (_, response) => void response.end("<html>"), { code: "HTTP_BODY_INVALID" }],
    ["something else", json([1]), { code: "HTTP_BODY_INVALID" }],
    [
      "a redirect",
      (_, response) => void response.writeHead(302, { location: "/" }).end(),
      { code: "HTTP_STATUS" },
    ],
    ["a closed connection", (request) => void request.socket.destroy(), { code: "HTTP_FAILED" }],
    [
      "half an answer",
      (_, response) => {
        response.writeHead(200, { "content-length": "1000" }).write("{");
        response.socket?.end();
      },
      { code: "HTTP_FAILED" },
    ],
    ["nothing", () => undefined, { code: "HTTP_FAILED" }],
  ])("%s is a failure, or an empty list as with libcluster", async (_, respond, error) => {
    expect((await running(respond, { timeout: 1000 })).first).toMatchObject({ ok: false, error });
    expect((await running(respond, { timeout: 1000 }, true)).first).toEqual({ ok: true, nodes: [] });
  });
});
