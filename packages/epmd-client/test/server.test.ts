import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { FakeClock } from "../../../test/support/fake-clock.ts";
import { dump, kill, listNames, lookupPort, stopNode } from "../src/client.ts";
import type { EpmdServer, EpmdServerOptions } from "../src/embedded-server.ts";
import { register } from "../src/registration.ts";
import { encodeAlive2Request, encodePort2Request } from "../src/requests.ts";
import { ensureEpmdServer, startEpmdServer } from "../src/server.ts";
import { framed } from "./support/chunks.ts";
import { code } from "./support/code.ts";
import { freePort, RawPeer, ScriptedServer } from "./support/tcp.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function start(options: EpmdServerOptions = {}): Promise<EpmdServer> {
  const server = await startEpmdServer({ port: 0, ...options });
  open.push(server);
  return server;
}
async function peer(port: number, host?: string, localAddress?: string): Promise<RawPeer> {
  const made = await RawPeer.connect(port, host, localAddress);
  open.push(made);
  return made;
}
const names = (server: EpmdServer) => server.names().map(({ name }) => name);

describe("startEpmdServer", () => {
  it("serves register, lookup, names and dump over IPv4 and IPv6", async () => {
    const { port, addresses } = await start({ seconds: () => 1000 });
    expect(addresses).toEqual(["127.0.0.1", "::1"]);
    const over4 = await register({ name: "a", port: 5000, epmd: { port } });
    const over6 = await register({ name: "b", port: 5001, nodeType: "normal", epmd: { host: "::1", port } });
    expect([over4.creation, over6.creation]).toEqual([1000, 1000]);
    expect(await lookupPort("b", { port })).toEqual({
      name: "b",
      port: 5001,
      nodeType: "normal",
      protocol: 0,
      highVersion: 6,
      lowVersion: 5,
      extra: Buffer.alloc(0),
    });
    const listed = {
      epmdPort: port,
      nodes: [
        { name: "b", port: 5001 },
        { name: "a", port: 5000 },
      ],
    };
    expect(await listNames({ host: "::1", port })).toEqual(listed);
    await over4.close();
    const { entries } = await dump({ port });
    expect(entries).toMatchObject([
      { name: "b", active: true },
      { name: "a", active: false },
    ]);
    await over6.close();
  });

  it("frees the name before close() of the client resolves", async () => {
    const server = await start();
    for (let i = 0; i < 50; i++) {
      const registration = await register({ name: "a", port: 5000, epmd: { port: server.port } });
      await registration.close();
      expect(names(server)).toEqual([]);
    }
  });

  it("leaves the connection of a refused node open until the client closes", async () => {
    const server = await start();
    const first = await peer(server.port);
    await first.send(encodeAlive2Request({ name: "a", port: 1 })).receive(6);
    const second = await peer(server.port);
    expect((await second.send(encodeAlive2Request({ name: "a", port: 2 })).receive(6)).toString("hex")).toBe(
      "760100000063",
    );
    await lookupPort("a", { port: server.port });
    expect(second.socket.closed).toBe(false);
    expect(names(server)).toEqual(["a"]);
  });

  it("drops a registration on any byte", async () => {
    const server = await start();
    const node = await peer(server.port);
    await node.send(encodeAlive2Request({ name: "a", port: 1 })).receive(6);
    node.send(Buffer.of(0));
    await node.closed;
    expect(names(server)).toEqual([]);
  });

  it("answers a client that closes its side right after the request", async () => {
    const { port } = await start();
    const socket = connect({ port, host: "127.0.0.1" });
    socket.end(framed("n"));
    const [chunk] = (await once(socket, "data")) as [Buffer];
    expect(chunk.readUInt32BE(0)).toBe(port);
    await once(socket, "close");
  });

  it("ends on KILL, once nobody is registered", async () => {
    const { port, closed } = await start();
    const registration = await register({ name: "a", port: 5000, epmd: { port } });
    expect(await kill({ port })).toBe(false);
    await registration.close();
    expect(await kill({ port })).toBe(true);
    await closed;
    await expect(listNames({ port })).rejects.toEqual(code("EPMD_UNREACHABLE"));
  });

  it("stops nodes and dies with them only when relaxed", async () => {
    const { port } = await start({ relaxedCommandCheck: true });
    const node = await peer(port);
    await node.send(encodeAlive2Request({ name: "a", port: 1 })).receive(6);
    expect(await stopNode("nobody", { port })).toBe(false);
    expect(await stopNode("a", { port })).toBe(true);
    await node.closed;
    const other = await peer(port);
    await other.send(encodeAlive2Request({ name: "b", port: 1 })).receive(6);
    expect(await kill({ port })).toBe(true);
    await other.closed;

    const strict = await start();
    await expect(stopNode("a", { port: strict.port })).rejects.toEqual(code("EPMD_NO_REPLY"));
  });

  it("closes what does not finish a request in time, but no node", async () => {
    const clock = new FakeClock();
    const server = await start({ clock, packetTimeoutMs: 1000 });
    const node = await peer(server.port);
    await node.send(encodeAlive2Request({ name: "a", port: 1 })).receive(6);
    const refused = await peer(server.port);
    await refused.send(encodeAlive2Request({ name: "a", port: 1 })).receive(6);
    const slow = await peer(server.port);
    slow.send(framed("n").subarray(0, 2));
    await expect.poll(() => clock.pending).toBe(1);
    clock.advance(999);
    await lookupPort("a", { port: server.port });
    expect(slow.socket.closed).toBe(false);
    clock.advance(1);
    await slow.closed;
    expect(slow.received).toHaveLength(0);
    expect([node.socket.closed, refused.socket.closed]).toEqual([false, false]);
  });

  it("closes the oldest of too many connections, but no node", async () => {
    const server = await start({ maxConnections: 3 });
    const node = await peer(server.port);
    await node.send(encodeAlive2Request({ name: "a", port: 1 })).receive(6);
    const idle = [await peer(server.port), await peer(server.port), await peer(server.port)];
    expect((await listNames({ port: server.port })).nodes).toHaveLength(1);
    await idle[0]!.closed;
    expect([idle[1]!, idle[2]!, node].map(({ socket }) => socket.closed)).toEqual([false, false, false]);
  });

  it("refuses more than maxNames names, and forgets more than maxUnusedNames", async () => {
    const { port } = await start({ maxNames: 1, maxUnusedNames: 1 });
    const a = await register({ name: "a", port: 5000, epmd: { port } });
    await expect(register({ name: "b", port: 5000, epmd: { port } })).rejects.toEqual(
      code("EPMD_NAME_TAKEN"),
    );
    await a.close();
    await (await register({ name: "b", port: 5000, epmd: { port } })).close();
    expect((await dump({ port })).entries).toMatchObject([{ name: "b", active: false }]);
  });

  it("takes a peer on another loopback address for a local one", async () => {
    // 127.0.0.2 stands for an address of the host that is not one of the two defaults.
    const { port, addresses } = await start({ addresses: ["127.0.0.2"] });
    expect(addresses).toEqual(["127.0.0.1", "::1", "127.0.0.2"]);
    const own = await peer(port, "127.0.0.2", "127.0.0.3");
    expect((await own.send(encodeAlive2Request({ name: "a", port: 1 })).receive(6))[1]).toBe(0);
  });

  it("listens on all addresses when told, without taking a port twice", async () => {
    const { addresses, port } = await start({ addresses: ["0.0.0.0", "::"] });
    expect(addresses).toEqual(["0.0.0.0", "::"]);
    expect(await listNames({ port })).toEqual(await listNames({ host: "::1", port }));
    await expect(start({ port })).rejects.toEqual(code("EPMD_PORT_IN_USE"));
  });

  it("logs what it closes, with a code", async () => {
    const lines: string[] = [];
    const log = (fields: Readonly<Record<string, unknown>>) => void lines.push(String(fields["code"]));
    const { port } = await start({ logger: { debug: log, info: () => undefined, warn: log, error: log } });
    for (const request of [framed("?"), framed("sa"), Buffer.from([255, 255])]) {
      await (await peer(port)).send(request).all();
    }
    await expect(register({ name: "n".repeat(255), port: 1, epmd: { port } })).resolves.toBeDefined();
    await (await peer(port)).send(encodePort2Request("n".repeat(255))).all();
    expect(lines).toEqual([
      "EPMD_REQUEST_MALFORMED",
      "EPMD_REQUEST_FORBIDDEN",
      "EPMD_REQUEST_TOO_LARGE",
      "EPMD_REQUEST_MALFORMED",
    ]);
  });

  it("closes twice, and is disposed of", async () => {
    const server = await start();
    const node = await peer(server.port);
    await node.send(encodeAlive2Request({ name: "a", port: 1 })).receive(6);
    await Promise.all([server.close(), server.close()]);
    await node.closed;
    await server[Symbol.asyncDispose]();
    await server.closed;
    expect(server.addresses).toEqual([]);
  });

  it.each([{ port: 65536 }, { port: 1.5 }, { addresses: ["localhost"] }])("refuses %j", async (options) => {
    await expect(start(options)).rejects.toEqual(code("EPMD_OPTIONS_INVALID"));
  });

  it("says that the host does not have an address", async () => {
    await expect(start({ addresses: ["192.0.2.1"] })).rejects.toEqual(code("EPMD_LISTEN_FAILED"));
  });
});

describe("ensureEpmdServer", () => {
  it("starts one when there is none, and none when there is one", async () => {
    const port = await freePort();
    const server = await ensureEpmdServer({ port });
    open.push(server!);
    expect(server?.port).toBe(port);
    expect(await ensureEpmdServer({ port })).toBeUndefined();
  });

  it("starts exactly one when many try at once", async () => {
    const port = await freePort();
    const all = await Promise.all([1, 2, 3, 4, 5].map(() => ensureEpmdServer({ port })));
    const started = all.filter((server) => server !== undefined);
    open.push(...started);
    expect(started).toHaveLength(1);
    expect((await listNames({ port })).nodes).toEqual([]);
  });

  it("does not take another program for epmd", async () => {
    const other = await ScriptedServer.start((socket) => socket.end("HTTP/1.1 400 Bad Request"));
    open.push(other);
    await expect(ensureEpmdServer({ port: other.port })).rejects.toEqual(code("EPMD_PORT_IN_USE"));
  });
});
