import { once } from "node:events";
import { createServer, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { loadStrategy } from "@isthmus/strategies";
import { digitalocean } from "@isthmus/strategies/digitalocean";
import type { Clock } from "@isthmus/wire";
import { afterEach, describe, expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { strategyCompliance } from "../compliance.ts";
import { run } from "../dns/context.ts";
import { settled } from "../support/fake-cluster.ts";

const TOKEN = "dop_v1_secret";

/** A droplet as `GET /v2/droplets` gives it, with what matters and some of the rest. */
const droplet = (id: number, name: string, address: string, more: object = {}) => ({
  id,
  name,
  memory: 1024,
  locked: false,
  status: "active",
  networks: {
    v4: [
      { ip_address: `203.0.113.${id}`, netmask: "255.255.240.0", gateway: "203.0.113.1", type: "public" },
      { ip_address: address, netmask: "255.255.240.0", gateway: "10.108.0.1", type: "private" },
    ],
    v6: [
      {
        ip_address: `2604:A880:0800:0010:0000:0000:02DD:${id}`,
        netmask: 64,
        gateway: "2604:a880::1",
        type: "public",
      },
    ],
  },
  region: { slug: "nyc3" },
  tags: ["shop"],
  ...more,
});
const list = (droplets: readonly unknown[], next?: string) => ({
  droplets,
  links: next === undefined ? {} : { pages: { next, last: next } },
  meta: { total: droplets.length },
});
const two = [droplet(1, "shop-a", "10.108.0.2"), droplet(2, "shop-b", "10.108.0.3")];

interface Api {
  readonly url: string;
  readonly requests: { readonly url: string; readonly authorization: string | undefined }[];
  respond: RequestListener;
  close(): Promise<void>;
}

const send = (response: ServerResponse, body: unknown, status = 200, headers = {}) =>
  void response
    .writeHead(status, { "content-type": "application/json", ...headers })
    .end(JSON.stringify(body));
const json =
  (body: unknown, status = 200, headers = {}): RequestListener =>
  (_, response) =>
    send(response, body, status, headers);

let ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.reverse()) await end();
  ends = [];
});

async function api(respond: RequestListener): Promise<Api> {
  const server: Server = createServer((request, response) => {
    const { url = "", headers } = request;
    if (headers.authorization !== `Bearer ${TOKEN}`) {
      return send(response, { id: "Unauthorized", message: "Unable to authenticate you" }, 401);
    }
    started.requests.push({ url, authorization: headers.authorization });
    started.respond(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const started: Api = {
    url: `http://127.0.0.1:${port}`,
    requests: [],
    respond,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return started;
}

strategyCompliance("digitalocean", {
  source: async () => {
    const started = await api(json(list(two)));
    return {
      nodes: ["shop@10.108.0.2", "shop@10.108.0.3"],
      make: () => digitalocean({ token: TOKEN, nodeBasename: "shop", baseUrl: started.url }),
      fail: () => {
        started.respond = json({ id: "server_error", message: `token was ${TOKEN}` }, 500);
      },
      close: () => started.close(),
    };
  },
  secrets: [TOKEN],
  badOptions: {
    "a missing token": () => digitalocean.from({}),
    "a token that is no text": () => digitalocean.from({ token: { value: TOKEN } }),
    "a tag and a name": () => digitalocean.from({ token: TOKEN, tag_name: "shop", name: "shop-a" }),
    "an impossible basename": () => digitalocean.from({ token: TOKEN, node_basename: "a@b" }),
    "another network": () => digitalocean.from({ token: TOKEN, network: "vpc" }),
    "a health check without a port": () => digitalocean.from({ token: TOKEN, health_check: ["tcp", {}] }),
    "a health check of another kind": () =>
      digitalocean.from({ token: TOKEN, health_check: { type: "http", port: 80 } }),
    "a health check with an unknown option": () =>
      digitalocean.from({ token: TOKEN, health_check: { port: 80, delay: 5 } }),
  },
});

async function running(
  respond: RequestListener,
  options: object = {},
  context: { compat?: boolean; clock?: Clock } = {},
) {
  const started = await api(respond);
  ends.push(() => started.close());
  const factory = await loadStrategy("Cluster.Strategy.Droplet");
  const poll = run(factory.from({ token: TOKEN, base_url: started.url, ...options }), context);
  ends.push(() => poll.stop());
  return { started, poll, first: await poll.next() };
}

describe("digitalocean", () => {
  it.each([
    [{}, "/v2/droplets?per_page=200"],
    [{ tag_name: "shop & co" }, "/v2/droplets?per_page=200&tag_name=shop+%26+co"],
    [{ name: "shop-a" }, "/v2/droplets?per_page=200&name=shop-a"],
  ])("asks with the token for %j", async (options, url) => {
    const { started } = await running(json(list(two)), options);
    expect(started.requests).toEqual([{ url, authorization: `Bearer ${TOKEN}` }]);
  });

  it("names nodes by droplet or by basename, at the address that is wanted", async () => {
    expect((await running(json(list(two)))).poll.last).toEqual(["shop-a@10.108.0.2", "shop-b@10.108.0.3"]);
    const outside = await running(json(list(two)), { node_basename: "n", network: ":public" });
    expect(outside.poll.last).toEqual(["n@203.0.113.1", "n@203.0.113.2"]);
    const six = await running(json(list(two)), { node_basename: "n", network: "public", ipv6: true });
    expect(six.poll.last).toEqual(["n@2604:a880:800:10::2dd:1", "n@2604:a880:800:10::2dd:2"]);
  });

  it("leaves out droplets that do not run, and those without such an address", async () => {
    const others = [
      droplet(3, "off", "10.108.0.4", { status: "off" }),
      droplet(4, "new", "10.108.0.5", { status: "new" }),
      droplet(5, "alone", "10.108.0.6", { networks: { v4: [], v6: [] } }),
      droplet(6, "odd", "10.108.0.7", { networks: null }),
      droplet(7, "a b", "10.108.0.8"),
    ];
    const { poll } = await running(json(list([...two, ...others])));
    expect(poll.last).toEqual(["shop-a@10.108.0.2", "shop-b@10.108.0.3"]);
    expect(poll.lines.map(({ fields }) => fields)).toEqual(
      expect.arrayContaining([
        { droplet: "alone" },
        { droplet: "odd" },
        { basename: "a b", host: "10.108.0.8" },
      ]),
    );
  });

  it("follows the pages", async () => {
    const pages: RequestListener = (request, response) => {
      const page = Number(new URL(request.url!, "http://h").searchParams.get("page") ?? 1);
      const next =
        page < 3 ? `http://${request.headers.host}/v2/droplets?page=${page + 1}&per_page=200` : undefined;
      send(
        response,
        list([droplet(page, `shop-${page}`, `10.108.0.${page}`), droplet(9, "shop-9", "10.108.0.9")], next),
      );
    };
    const { started, poll } = await running(pages);
    expect(started.requests).toHaveLength(3);
    expect(poll.last).toEqual([1, 2, 3, 9].map((n) => `shop-${n}@10.108.0.${n}`));
  });

  it("a page that fails is a failure of the whole, not fewer nodes", async () => {
    const pages: RequestListener = (request, response) => {
      if (request.url!.includes("page=2")) return send(response, {}, 502);
      send(response, list(two, `http://${request.headers.host}/v2/droplets?page=2`));
    };
    expect((await running(pages)).first).toMatchObject({ ok: false, error: { context: { status: 502 } } });
  });

  it("the token goes to no other server, and pages in a circle end", async () => {
    const stranger = await api(json(list(two)));
    ends.push(() => stranger.close());
    for (const next of [`${stranger.url}/v2/droplets?page=2`, "javascript:alert(1)", "http://["]) {
      const { first } = await running(json(list(two, next)));
      expect(first).toMatchObject({ ok: false, error: { code: "HTTP_BODY_INVALID" } });
    }
    expect(stranger.requests).toEqual([]);
    const { first, started } = await running(json(list(two, "/v2/droplets?page=2")));
    expect(first).toMatchObject({ ok: false, error: { code: "HTTP_BODY_INVALID" } });
    expect(started.requests).toHaveLength(100);
  });

  it("a wrong token is a failure that says what to do, without the token", async () => {
    const { first } = await running(json(list(two)), { token: "dop_v1_other" });
    expect(first).toMatchObject({ ok: false, error: { code: "HTTP_STATUS", context: { status: 401 } } });
    const { error } = first as Extract<typeof first, { ok: false }>;
    expect(error.message).toContain("Check the token");
    expect(JSON.stringify([error, error.message, error.context])).not.toContain("dop_v1_other");
  });

  it.each<[string, RequestListener, object]>([
    ["500", json({}, 500), { code: "HTTP_STATUS", context: { status: 500 } }],
    ["what is not JSON", (_, response) => void response.end("<html>"), { code: "HTTP_BODY_INVALID" }],
    ["something else", json({ servers: [] }), { code: "HTTP_BODY_INVALID" }],
    ["a droplet without an id", json(list([{ name: "a" }])), { code: "HTTP_BODY_INVALID" }],
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
  ])("%s is a failure", async (_, respond, error) => {
    expect((await running(respond, { timeout: 1000 })).first).toMatchObject({ ok: false, error });
  });

  it("an account without droplets is an empty list", async () => {
    expect((await running(json(list([])))).first).toEqual({ ok: true, nodes: [] });
  });
});

describe("the rate limit", () => {
  const soon = () => String(Math.ceil(Date.now() / 1000) + 90);

  it.each([
    ["Retry-After in seconds", 429, () => ({ "retry-after": "90" })],
    ["Retry-After as a date", 429, () => ({ "retry-after": new Date(Date.now() + 90_000).toUTCString() })],
    ["RateLimit-Reset", 429, () => ({ "ratelimit-reset": soon() })],
    ["nothing, for which a minute is taken", 429, () => ({})],
    [
      "that none is left, with an answer",
      200,
      () => ({ "ratelimit-remaining": "0", "ratelimit-reset": soon() }),
    ],
  ])("is kept when the server says %s", async (_, status, headers) => {
    const clock = new FakeClock();
    const limited: RequestListener = (request, response) =>
      json(list(two), status, headers())(request, response);
    const { started, poll, first } = await running(limited, {}, { clock });
    expect(first.ok).toBe(status === 200);
    started.respond = json(list(two));
    for (let round = 0; round < 2; round++) {
      const next = poll.next();
      // a round is due by then, whatever the backoff, and does not ask
      await settled();
      clock.advance(25_000);
      expect(await next).toMatchObject({
        ok: false,
        error: { code: "HTTP_STATUS", context: { status: 429 } },
      });
    }
    expect(started.requests).toHaveLength(1);
    const next = poll.next();
    await settled();
    clock.advance(90_000);
    expect(await next).toMatchObject({ ok: true });
    expect(started.requests).toHaveLength(2);
  });
});

describe("the health check", () => {
  async function open(host: string, port = 0): Promise<{ server: TcpServer; port: number }> {
    const server = createTcpServer((socket) => socket.destroy()).listen(port, host);
    await once(server, "listening");
    ends.push(() => new Promise((resolve) => server.close(resolve)));
    return { server, port: (server.address() as { port: number }).port };
  }
  const local = [droplet(1, "shop-a", "127.0.0.2"), droplet(2, "shop-b", "127.0.0.3")];

  it("leaves out droplets whose port is closed", async () => {
    const { port } = await open("127.0.0.2");
    const { poll } = await running(json(list(local)), { health_check: [":tcp", { port }] });
    expect(poll.last).toEqual(["shop-a@127.0.0.2"]);
  });

  it("lets a droplet that was healthy fail twice; a third time in a row is too often", async () => {
    const { port, server } = await open("127.0.0.2");
    await open("127.0.0.3", port);
    const options = { health_check: { port, timeout: 2000 }, polling_interval: 100 };
    const { poll } = await running(json(list(local)), options);
    expect(poll.last).toHaveLength(2);
    await new Promise((resolve) => server.close(resolve));
    const before = poll.reports.length;
    const gone = await poll.next((report) => report.ok && report.nodes.length === 1);
    expect(gone).toEqual({ ok: true, nodes: ["shop-b@127.0.0.3"] });
    const kept = poll.reports.slice(before).filter((report) => report.ok && report.nodes.length === 2);
    expect(kept.length).toBeGreaterThanOrEqual(2);
    const back = poll.next((report) => report.ok && report.nodes.length === 2);
    await open("127.0.0.2", port);
    await back;
  });

  it("at once as with libcluster_droplet where that is wanted", async () => {
    const { port, server } = await open("127.0.0.2");
    const options = { health_check: { port }, polling_interval: 100 };
    const { poll } = await running(json(list(local.slice(0, 1))), options, { compat: true });
    expect(poll.last).toEqual(["shop-a@127.0.0.2"]);
    await new Promise((resolve) => server.close(resolve));
    await poll.next((report) => report.ok && report.nodes.length === 0);
    const counts = poll.reports.map((report) => (report.ok ? report.nodes.length : -1));
    expect(new Set(counts)).toEqual(new Set([1, 0]));
  });

  it("goes on while some never answer", async () => {
    const clock = new FakeClock();
    // a documentation address: nobody is there
    const far = [...local.slice(0, 1), droplet(3, "shop-c", "192.0.2.1")];
    const { port } = await open("127.0.0.2");
    const started = await api(json(list(far)));
    ends.push(() => started.close());
    const strategy = digitalocean({
      token: TOKEN,
      baseUrl: started.url,
      healthCheck: { port, timeout: 500 },
    });
    const poll = run(strategy, { clock });
    ends.push(() => poll.stop());
    const first = poll.next();
    while (poll.reports.length === 0) {
      await settled();
      clock.advance(started.requests.length === 0 ? 0 : 10);
    }
    expect(await first).toEqual({ ok: true, nodes: ["shop-a@127.0.0.2"] });
  });
});
