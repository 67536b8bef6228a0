import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { SignedRequest } from "./sigv4.ts";

/** An instance as the fake describes it. */
export interface FakeInstance {
  readonly privateIp?: string;
  readonly publicIp?: string;
  readonly ipv6?: string;
  readonly tags?: Readonly<Record<string, string>>;
}

/** EC2's DescribeInstances and the instance metadata service (version 2), as far as the tests need them. */
export interface FakeAws {
  url: string;
  /** Requests to EC2. */
  readonly requests: readonly (SignedRequest & { readonly parameters: Readonly<Record<string, string>> })[];
  /** Requests to the metadata service, `GET /latest/...`. */
  readonly metadataRequests: readonly string[];
  /** What DescribeInstances gives, page by page. */
  pages: readonly (readonly FakeInstance[])[];
  /** What DescribeInstances gives for one instance id. */
  own: FakeInstance | undefined;
  /** What DescribeInstances answers instead: an error code. */
  error: string | undefined;
  /** What the metadata service knows, by path after `/latest`; undefined: there is no such service. */
  metadata: Readonly<Record<string, string>> | undefined;
  close(): Promise<void>;
}

const TOKEN = "AQAEAExampleToken==";

export async function startFakeAws(): Promise<FakeAws> {
  const requests: FakeAws["requests"][number][] = [];
  const metadataRequests: string[] = [];
  const server = createServer(async (request, response) => {
    const body = await read(request);
    const { method = "", url = "", headers } = request;
    if (url.startsWith("/latest/")) {
      metadataRequests.push(`${method} ${url}`);
      tellMetadata(request, response, fake.metadata);
      return;
    }
    const parameters = Object.fromEntries(new URLSearchParams(body));
    requests.push({ method, url, headers, body, parameters });
    describe(fake, parameters, response);
  });
  const fake: FakeAws = {
    url: "",
    requests,
    metadataRequests,
    pages: [[]],
    own: undefined,
    error: undefined,
    metadata: undefined,
    async close() {
      server.closeAllConnections();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  fake.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return fake;
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** Gives a token for a PUT with a time to live, and all else only for that token. */
function tellMetadata(
  request: IncomingMessage,
  response: ServerResponse,
  metadata: FakeAws["metadata"],
): void {
  const { url = "", method, headers } = request;
  let [status, text] = [404, ""];
  if (metadata !== undefined && url === "/latest/api/token") {
    const lifetime = Number(headers["x-aws-ec2-metadata-token-ttl-seconds"]);
    [status, text] = method === "PUT" && lifetime > 0 ? [200, TOKEN] : [400, ""];
  } else if (metadata !== undefined) {
    const value = metadata[decodeURIComponent(url.slice("/latest".length))];
    if (headers["x-aws-ec2-metadata-token"] !== TOKEN) status = 401;
    else if (value !== undefined) [status, text] = [200, value];
  }
  response.writeHead(status).end(text);
}

function describe(
  fake: FakeAws,
  parameters: Readonly<Record<string, string>>,
  response: ServerResponse,
): void {
  response.setHeader("content-type", "text/xml");
  if (fake.error !== undefined) {
    const error = `<Error><Code>${fake.error}</Code><Message>Not now</Message></Error>`;
    response.writeHead(403).end(`<Response><Errors>${error}</Errors><RequestID>r</RequestID></Response>`);
    return;
  }
  const page = Number(parameters["NextToken"]?.replace("page-", "") ?? 0);
  const single = parameters["InstanceId.1"] !== undefined;
  const instances = single ? [fake.own].filter((one) => one !== undefined) : fake.pages[page]!;
  const next = !single && page + 1 < fake.pages.length ? `<nextToken>page-${page + 1}</nextToken>` : "";
  const set = instances
    .map((one) => `<item><instancesSet><item>${xml(one)}</item></instancesSet></item>`)
    .join("");
  const answer = `<reservationSet>${set}</reservationSet>${next}`;
  response.end(
    `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>${answer}</DescribeInstancesResponse>`,
  );
}

function xml({ privateIp, publicIp, ipv6, tags = {} }: FakeInstance): string {
  const element = (name: string, text: string | undefined) =>
    text === undefined ? "" : `<${name}>${text}</${name}>`;
  const tagSet = Object.entries(tags).map(
    ([key, value]) => `<item><key>${key}</key><value>${value}</value></item>`,
  );
  const addresses = `<ipv6AddressesSet><item>${element("ipv6Address", ipv6)}</item></ipv6AddressesSet>`;
  return [
    element("privateIpAddress", privateIp),
    element("ipAddress", publicIp),
    `<tagSet>${tagSet.join("")}</tagSet>`,
    ipv6 === undefined ? "" : `<networkInterfaceSet><item>${addresses}</item></networkInterfaceSet>`,
  ].join("");
}
