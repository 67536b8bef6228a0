import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A request that the fake was sent. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly token: string | undefined;
  readonly body: unknown;
  /** When the client has gone away before the answer. */
  readonly aborted: boolean;
}

/** What the fake says to one request. */
export interface FakeAnswer {
  readonly status?: number;
  /** `X-Consul-Index`. */
  readonly index?: number | string;
  readonly body?: unknown;
}

/** A server whose answers the test decides about, one by one; queries wait until it does. */
export interface FakeConsul {
  url: string;
  readonly seen: readonly SeenRequest[];
  /** Decides what a request is answered; what it gives nothing for waits for `answer`. */
  respond: (request: SeenRequest) => FakeAnswer | undefined;
  /** Answers the oldest request that waits. */
  answer(answer: FakeAnswer): void;
  readonly waiting: number;
  close(): Promise<void>;
}

/** An entry of `GET /v1/health/service/:name`. */
export function healthEntry(address: string, nodeAddress = "10.9.9.9", nodeName = "node-a"): object {
  return {
    Node: { Node: nodeName, Address: nodeAddress },
    Service: { Address: address, Port: 1 },
    Checks: [],
  };
}

export async function startFakeConsul(): Promise<FakeConsul> {
  const seen: SeenRequest[] = [];
  const waiting: ServerResponse[] = [];
  const fake: FakeConsul = {
    url: "",
    seen,
    respond: () => undefined,
    answer: (answer) => give(waiting.shift()!, answer),
    get waiting() {
      return waiting.length;
    },
    async close() {
      server.closeAllConnections();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
  const server = createServer(async (request, response) => {
    const entry = await read(request);
    seen.push(entry);
    response.on("close", () => {
      if (!response.writableEnded) Object.assign(entry, { aborted: true });
      if (waiting.includes(response)) waiting.splice(waiting.indexOf(response), 1);
    });
    const answer = fake.respond(entry);
    if (answer === undefined) waiting.push(response);
    else give(response, answer);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  fake.url = `http://127.0.0.1:${port}`;
  return fake;
}

async function read(request: IncomingMessage): Promise<SeenRequest> {
  const url = new URL(request.url!, "http://fake");
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  return {
    method: request.method!,
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    token: request.headers["x-consul-token"] as string | undefined,
    body: text === "" ? undefined : JSON.parse(text),
    aborted: false,
  };
}

function give(response: ServerResponse, { status = 200, index, body }: FakeAnswer): void {
  if (index !== undefined) response.setHeader("x-consul-index", index);
  response.writeHead(status, { "content-type": "application/json" });
  response.end(typeof body === "string" ? body : JSON.stringify(body ?? null));
}
