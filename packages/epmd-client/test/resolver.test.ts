import { parseNodeName } from "@isthmus/wire";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EpmdServer } from "../src/embedded-server.ts";
import { type Registration, register } from "../src/registration.ts";
import { epmdResolver, fixedPortResolver, staticResolver } from "../src/resolver.ts";
import { startEpmdServer } from "../src/server.ts";
import { code } from "./support/code.ts";
import { freePort } from "./support/tcp.ts";

let server: EpmdServer;
let registration: Registration;
beforeAll(async () => {
  server = await startEpmdServer({ port: 0 });
  registration = await register({ name: "a", port: 5000, lowVersion: 6, epmd: { port: server.port } });
});
afterAll(async () => {
  await registration.close();
  await server.close();
});

describe("epmdResolver", () => {
  it("asks the epmd of the node's host", async () => {
    const resolve = epmdResolver({ port: server.port });
    for (const host of ["127.0.0.1", "::1"]) {
      expect(await resolve(parseNodeName(`a@${host}`), {})).toEqual({
        host,
        port: 5000,
        highVersion: 6,
        lowVersion: 6,
      });
    }
  });

  it("can be sent to another host, and to one family of addresses", async () => {
    const resolve = epmdResolver({ port: server.port, host: "localhost", family: 4 });
    expect(await resolve(parseNodeName("a@elsewhere.invalid"), {})).toMatchObject({
      host: "localhost",
      port: 5000,
    });
  });

  it("tells a missing node from a missing epmd", async () => {
    const node = parseNodeName("nobody@127.0.0.1");
    await expect(epmdResolver({ port: server.port })(node, {})).rejects.toEqual(code("NODE_NOT_REGISTERED"));
    await expect(epmdResolver({ port: await freePort() })(node, {})).rejects.toEqual(
      code("EPMD_UNREACHABLE"),
    );
  });

  it("is aborted", async () => {
    const resolve = epmdResolver({ port: server.port });
    await expect(resolve(parseNodeName("a@127.0.0.1"), { signal: AbortSignal.abort() })).rejects.toEqual(
      code("EPMD_ABORTED"),
    );
  });
});

describe("staticResolver", () => {
  const table = { "a@h1": { port: 9001 }, "b@h2": { host: "10.0.0.2", port: 9002 } };

  it("knows its table", async () => {
    const resolve = staticResolver(table);
    expect(await resolve(parseNodeName("a@h1"), {})).toEqual({
      host: "h1",
      port: 9001,
      highVersion: 6,
      lowVersion: 5,
    });
    expect(await resolve(parseNodeName("b@h2"), {})).toMatchObject({ host: "10.0.0.2", port: 9002 });
  });

  it("asks the fallback for the rest, with the same options", async () => {
    const options = { timeoutMs: 7 };
    const endpoint = { host: "x", port: 1, highVersion: 6, lowVersion: 6 };
    const resolve = staticResolver(table, async (node, given) => {
      expect([node.full, given]).toEqual(["c@h3", options]);
      return endpoint;
    });
    expect(await resolve(parseNodeName("c@h3"), options)).toBe(endpoint);
  });

  it("fails without a fallback, for names of objects too", async () => {
    const resolve = staticResolver(table);
    await expect(resolve(parseNodeName("c@h3"), {})).rejects.toEqual(code("NODE_NOT_REGISTERED"));
    const odd = { full: "constructor", name: "constructor", host: "" };
    await expect(resolve(odd, {})).rejects.toEqual(code("NODE_NOT_REGISTERED"));
  });
});

describe("fixedPortResolver", () => {
  it("gives the same port everywhere", async () => {
    expect(await fixedPortResolver(4711)(parseNodeName("a@h1"), {})).toMatchObject({
      host: "h1",
      port: 4711,
    });
  });
});
