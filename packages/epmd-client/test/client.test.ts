import type { Socket } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { FakeClock } from "../../../test/support/fake-clock.ts";
import { dump, kill, listNames, lookupPort, stopNode } from "../src/client.ts";
import { encodeNamesReply, encodePort2Reply } from "../src/replies.ts";
import { cuts } from "./support/chunks.ts";
import { code } from "./support/code.ts";
import { freePort, ScriptedServer } from "./support/tcp.ts";

let server: ScriptedServer | undefined;
afterEach(async () => {
  vi.unstubAllEnvs();
  await server?.close();
  server = undefined;
});

async function serve(onSocket: (socket: Socket) => void): Promise<{ port: number }> {
  server = await ScriptedServer.start(onSocket);
  return { port: server.port };
}
const node = {
  name: Buffer.from("a"),
  port: 5000,
  nodeType: 77,
  protocol: 0,
  highVersion: 6,
  lowVersion: 6,
  extra: Buffer.alloc(0),
};

describe("a request", () => {
  it("goes to the port of the environment by default", async () => {
    const { port } = await serve((socket) => socket.end(encodeNamesReply(1, [node])));
    vi.stubEnv("ERL_EPMD_PORT", String(port));
    expect(await listNames()).toEqual({ epmdPort: 1, nodes: [{ name: "a", port: 5000 }] });
  });

  it("sends its bytes and takes the reply in any chunks", async () => {
    for (const { chunks } of cuts(encodePort2Reply(node)).slice(0, 3)) {
      const received: Buffer[] = [];
      const at = await serve((socket) => {
        const next = (i: number): void => {
          if (i < chunks.length) socket.write(chunks[i]!, () => setImmediate(next, i + 1));
        };
        socket.on("data", (chunk) => {
          received.push(chunk);
          next(0);
        });
      });
      expect(await lookupPort("a", at)).toMatchObject({ port: 5000, nodeType: "normal" });
      expect(Buffer.concat(received).toString("latin1")).toBe("\0\x02za");
      await server!.close();
    }
  });

  it("fails with EPMD_UNREACHABLE when nobody listens", async () => {
    const port = await freePort();
    const failed = lookupPort("a", { port });
    await expect(failed).rejects.toEqual(code("EPMD_UNREACHABLE"));
    await expect(failed).rejects.toMatchObject({
      context: { host: "127.0.0.1", port },
      cause: { code: "ECONNREFUSED" },
    });
    await expect(lookupPort("a", { host: "host.invalid", port })).rejects.toEqual(code("EPMD_UNREACHABLE"));
  });

  it("fails with EPMD_NO_REPLY when the connection ends first", async () => {
    const ended = await serve((socket) => socket.end());
    await expect(lookupPort("a", ended)).rejects.toEqual(code("EPMD_NO_REPLY"));
    await server!.close();
    const reset = await serve((socket) => socket.once("data", () => socket.resetAndDestroy()));
    await expect(lookupPort("a", reset)).rejects.toEqual(code("EPMD_NO_REPLY"));
  });

  it("does not take a list that was cut off", async () => {
    const at = await serve((socket) => socket.end(encodeNamesReply(1, [node, node]).subarray(0, 30)));
    await expect(listNames(at)).rejects.toEqual(code("EPMD_REPLY_MALFORMED"));
    await server!.close();
    const reset = await serve((socket) => {
      socket.write(encodeNamesReply(1, [node]), () => socket.once("data", () => socket.resetAndDestroy()));
    });
    await expect(listNames(reset)).rejects.toEqual(code("EPMD_NO_REPLY"));
  });

  it("fails with EPMD_REPLY_MALFORMED when epmd is something else", async () => {
    const at = await serve((socket) => socket.end("SSH-2.0-OpenSSH\r\n"));
    const asks = [
      () => lookupPort("a", at),
      () => listNames(at),
      () => dump(at),
      () => kill(at),
      () => stopNode("a", at),
    ];
    for (const ask of asks) {
      await expect(ask()).rejects.toEqual(code("EPMD_REPLY_MALFORMED"));
    }
  });

  it("does not take more than the answer", async () => {
    const at = await serve((socket) => socket.write(Buffer.concat([encodePort2Reply(node), Buffer.of(0)])));
    await expect(lookupPort("a", at)).rejects.toEqual(code("EPMD_REPLY_MALFORMED"));
  });

  it("fails with EPMD_REPLY_TOO_LARGE and closes when the answer does not end", async () => {
    let closed = false;
    const at = await serve((socket) => {
      socket.on("close", () => {
        closed = true;
      });
      const more = (): void => {
        if (!socket.destroyed) socket.write(Buffer.alloc(65536, 97), () => setImmediate(more));
      };
      more();
    });
    await expect(listNames({ ...at, maxReplyBytes: 300_000 })).rejects.toEqual(code("EPMD_REPLY_TOO_LARGE"));
    await expect.poll(() => closed).toBe(true);
  });

  it("fails with EPMD_TIMEOUT and leaves no connection", async () => {
    const clock = new FakeClock();
    let socket: Socket | undefined;
    const at = await serve((made) => {
      socket = made.resume();
    });
    const failed = expect(lookupPort("a", { ...at, clock, timeoutMs: 50 })).rejects.toEqual(
      code("EPMD_TIMEOUT"),
    );
    await expect.poll(() => socket).toBeDefined();
    clock.advance(50);
    await failed;
    await expect.poll(() => socket!.closed).toBe(true);
  });

  it("fails with EPMD_ABORTED, before and during, and keeps no listener", async () => {
    const abort = new AbortController();
    const removed = vi.spyOn(abort.signal, "removeEventListener");
    const at = await serve((socket) => {
      socket.once("data", () => abort.abort(new Error("enough")));
    });
    const failed = lookupPort("a", { ...at, signal: abort.signal });
    await expect(failed).rejects.toEqual(code("EPMD_ABORTED"));
    await expect(failed).rejects.toMatchObject({ cause: { message: "enough" } });
    expect(removed).toHaveBeenCalled();
    await expect(listNames({ ...at, signal: abort.signal })).rejects.toEqual(code("EPMD_ABORTED"));
  });

  it("leaves no timer behind", async () => {
    const clock = new FakeClock();
    const at = await serve((socket) => socket.end(encodePort2Reply(undefined)));
    expect(await lookupPort("a", { ...at, clock })).toBeUndefined();
    expect(clock.pending).toBe(0);
  });

  it("checks its options", async () => {
    await expect(lookupPort("a@b", { port: 1 })).rejects.toEqual(code("EPMD_NAME_INVALID"));
    await expect(lookupPort("a", { port: 0 })).rejects.toEqual(code("EPMD_OPTIONS_INVALID"));
  });
});
