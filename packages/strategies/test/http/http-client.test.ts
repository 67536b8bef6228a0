import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { httpJson, httpLines, httpRequest } from "../../src/http/http-client.ts";

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
});

async function serve(listener: RequestListener): Promise<string> {
  server = createServer(listener);
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("httpRequest", () => {
  it("sends method, headers and body, and gives every status back", async () => {
    const url = await serve((request, response) => {
      const sent: Buffer[] = [];
      request.on("data", (chunk: Buffer) => sent.push(chunk));
      request.on("end", () => {
        response.writeHead(418, { "x-got": `${request.method} ${request.url} ${request.headers["x-mine"]}` });
        response.end(Buffer.concat(sent));
      });
    });
    const answer = await httpRequest({
      url: `${url}/a?b=c`,
      method: "PUT",
      headers: { "x-mine": "yes" },
      body: "grün",
    });
    expect(answer).toMatchObject({ status: 418, body: "grün", headers: { "x-got": "PUT /a?b=c yes" } });
  });

  it("fails with a code when nobody is there, and says nothing secret", async () => {
    const url = await serve(() => undefined);
    server!.close();
    const secret = { url: `${url.replace("http://", "http://user:hunter2@")}/v1?token=hunter2` };
    const error = await httpRequest({ ...secret, headers: { authorization: "hunter2" } }).catch((e) => e);
    expect(error).toMatchObject({
      code: "HTTP_FAILED",
      message: `${url}/v1 could not be asked (ECONNREFUSED).`,
    });
    expect(JSON.stringify([error.message, error.context])).not.toContain("hunter2");
  });

  it("fails when the answer is late, cut or too long", async () => {
    const url = await serve((request, response) => {
      if (request.url === "/late") return;
      response.write("x".repeat(100));
      if (request.url === "/cut") response.destroy();
    });
    const code = (path: string, more = {}) =>
      httpRequest({ url: url + path, ...more }).catch((e) => e.code + e.message);
    expect(await code("/late", { timeoutMs: 30 })).toMatch(/HTTP_FAILED.*within 30 ms/);
    expect(await code("/cut")).toMatch(/HTTP_FAILED.*ECONNRESET/);
    expect(await code("/long", { maxBytes: 99 })).toMatch(/HTTP_FAILED.*more than 99 bytes/);
  });

  it("rejects with the signal's reason", async () => {
    const reason = new Error("enough");
    const owner = new AbortController();
    const url = await serve(() => owner.abort(reason));
    await expect(httpRequest({ url, signal: owner.signal })).rejects.toBe(reason);
  });

  it("follows no redirect", async () => {
    const url = await serve((_, response) =>
      response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
    );
    expect((await httpRequest({ url })).status).toBe(302);
  });
});

describe("httpJson", () => {
  it("gives the JSON, and codes for what is not", async () => {
    const url = await serve((request, response) => {
      if (request.url === "/denied") response.writeHead(403).end('{"message":"no"}');
      else response.end(request.url === "/bad" ? "<html>" : `{"accept":"${request.headers.accept}"}`);
    });
    expect(await httpJson({ url })).toEqual({ accept: "application/json" });
    await expect(httpJson({ url: `${url}/denied` })).rejects.toMatchObject({
      code: "HTTP_STATUS",
      context: { status: 403, body: '{"message":"no"}' },
    });
    await expect(httpJson({ url: `${url}/bad` })).rejects.toMatchObject({ code: "HTTP_BODY_INVALID" });
  });
});

describe("httpLines", () => {
  it("gives each line as it comes, whole characters only", async () => {
    const bytes = Buffer.from("eins\r\nzwei grün\n\ndrei");
    const cut = bytes.indexOf(0xc3) + 1;
    const lines: string[] = [];
    const url = await serve(async (_, response) => {
      response.write(bytes.subarray(0, cut));
      while (!lines.includes("eins")) await new Promise((resolve) => setImmediate(resolve));
      response.end(bytes.subarray(cut));
    });
    const answer = await httpLines({ url }, (line) => lines.push(line));
    expect(lines).toEqual(["eins", "zwei grün", "drei"]);
    expect(answer).toMatchObject({ status: 200, body: "" });
  });

  it("fails on silence, an endless line, a cut stream and a bad status", async () => {
    const url = await serve((request, response) => {
      if (request.url === "/status") return void response.writeHead(410).end("gone");
      response.write("a line\nhalf");
      if (request.url === "/cut") setImmediate(() => response.destroy());
    });
    const fails = async (path: string, more = {}) => {
      const lines: string[] = [];
      const error = await httpLines({ url: url + path, ...more }, (line) => lines.push(line)).catch((e) => e);
      return [lines, `${error.code} ${error.message}`];
    };
    expect(await fails("/quiet", { timeoutMs: 1000 })).toEqual([
      ["a line"],
      expect.stringMatching(/within 1000 ms/),
    ]);
    expect(await fails("/long", { maxBytes: 3 })).toEqual([
      ["a line"],
      expect.stringMatching(/more than 3 bytes/),
    ]);
    expect(await fails("/cut")).toEqual([["a line"], expect.stringMatching(/HTTP_FAILED/)]);
    expect(await fails("/status")).toEqual([[], expect.stringMatching(/HTTP_STATUS.*410/)]);
  });

  it("ends when the one who reads the lines throws", async () => {
    let ended = (): void => undefined;
    const closed = new Promise<void>((resolve) => {
      ended = resolve;
    });
    const url = await serve((request, response) => {
      (request.socket as Socket).on("close", ended);
      response.write("a line\n");
    });
    const mine = new Error("mine");
    await expect(
      httpLines({ url }, () => {
        throw mine;
      }),
    ).rejects.toBe(mine);
    await closed;
  });
});
