import { once } from "node:events";
import { createServer, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Place } from "./strategies-relay.ts";

/** Services that are made here, which answer as they are documented. */
export interface HttpService {
  readonly place: Place;
  stop(): Promise<void>;
}

async function serve(listener: RequestListener): Promise<HttpService> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    place: { host: "127.0.0.1", port: (server.address() as AddressInfo).port },
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

const json = (answer: ServerResponse, status: number, body: unknown): void =>
  void answer.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));

/** The metadata service of Rancher 1.x, whose service has a container at each of `addresses`. */
export function startRancher(addresses: ReadonlySet<string>): Promise<HttpService> {
  return serve((request, answer) => {
    if (request.url !== "/latest/self/service" || request.headers.accept !== "application/json") {
      return json(answer, 404, { type: "error", status: 404, code: "Not Found" });
    }
    const containers = [...addresses].map((address, i) => ({
      name: `orders-app-${i + 1}`,
      health_state: null,
      ips: [address],
      primary_ip: address,
      labels: { "io.rancher.container.network": "true" },
      state: "running",
    }));
    json(answer, 200, { name: "app", stack_name: "orders", kind: "service", scale: 3, containers });
  });
}

export const DIGITALOCEAN = { token: "dop_v1_of_the_test", tag: "app" } as const;

/** DigitalOcean's API, which has a droplet with the tag at each of `addresses`, one on each page, and another without. */
export function startDigitalOcean(addresses: ReadonlySet<string>): Promise<HttpService> {
  return serve((request, answer) => {
    const { pathname, searchParams, search } = new URL(request.url ?? "/", "http://any");
    if (request.headers.authorization !== `Bearer ${DIGITALOCEAN.token}`) {
      return json(answer, 401, { id: "Unauthorized", message: "Unable to authenticate you" });
    }
    if (pathname !== "/v2/droplets") {
      return json(answer, 404, {
        id: "not_found",
        message: "The resource you were accessing could not be found.",
      });
    }
    const all = [
      ...[...addresses].map((address, i) => droplet(i + 1, address)),
      droplet(99, "10.77.0.99", []),
    ];
    const tag = searchParams.get("tag_name");
    const wanted = all.filter(({ tags }) => tag === null || tags.includes(tag));
    const page = Number(searchParams.get("page") ?? "1");
    const next = new URLSearchParams(search);
    next.set("page", String(page + 1));
    const url = `http://${request.headers.host}/v2/droplets?${next}`;
    json(answer, 200, {
      droplets: wanted.slice(page - 1, page),
      links: page < wanted.length ? { pages: { next: url, last: url } } : {},
      meta: { total: wanted.length },
    });
  });
}

function droplet(id: number, address: string, tags: readonly string[] = [DIGITALOCEAN.tag]) {
  const netmask = "255.255.255.0";
  return {
    id,
    name: `app-${id}`,
    status: "active",
    networks: {
      v4: [
        { ip_address: `203.0.113.${id}`, netmask, gateway: "203.0.113.254", type: "public" },
        { ip_address: address, netmask, gateway: "10.77.0.1", type: "private" },
      ],
      v6: [],
    },
    tags,
  };
}

export const EC2 = { region: "eu-central-1", tag: "cluster", value: "app" } as const;

/** The instance metadata service of EC2, version 2, of instances with a role and with their tags shown. */
export function startInstanceMetadata(): Promise<HttpService> {
  const token = "token-of-the-session";
  const credentials = "/latest/meta-data/iam/security-credentials/";
  const texts: Readonly<Record<string, string>> = {
    "/latest/meta-data/placement/region": EC2.region,
    [`/latest/meta-data/tags/instance/${EC2.tag}`]: EC2.value,
    [credentials]: "app-role",
    [`${credentials}app-role`]: JSON.stringify({
      Code: "Success",
      LastUpdated: "2026-02-03T09:14:27Z",
      Type: "AWS-HMAC",
      AccessKeyId: "ASIAOFTHETEST",
      SecretAccessKey: "secret-of-the-test",
      Token: "token-of-the-role",
      Expiration: new Date(Date.now() + 6 * 3_600_000).toISOString(),
    }),
  };
  return serve((request, answer) => {
    if (request.method === "PUT" && request.url === "/latest/api/token") {
      const ttl = request.headers["x-aws-ec2-metadata-token-ttl-seconds"];
      answer.writeHead(ttl === undefined ? 400 : 200, { "x-aws-ec2-metadata-token-ttl-seconds": ttl ?? "0" });
      return void answer.end(token);
    }
    if (request.headers["x-aws-ec2-metadata-token"] !== token) return void answer.writeHead(401).end();
    const text = texts[request.url ?? ""];
    answer.writeHead(text === undefined ? 404 : 200, { "content-type": "text/plain" }).end(text);
  });
}
