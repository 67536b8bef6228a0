import type { Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { FakeClock } from "../../../test/support/fake-clock.ts";
import type { EpmdServer } from "../src/embedded-server.ts";
import { type RegisterOptions, type RegistrationChange, register } from "../src/registration.ts";
import { encodeAlive2Reply } from "../src/replies.ts";
import { startEpmdServer } from "../src/server.ts";
import { code } from "./support/code.ts";
import { freePort, ScriptedServer } from "./support/tcp.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function epmd(port = 0): Promise<EpmdServer> {
  const server = await startEpmdServer({ port });
  open.push(server);
  return server;
}
async function scripted(onRequest: (socket: Socket, request: Buffer) => void): Promise<number> {
  const server = await ScriptedServer.start((socket) =>
    socket.once("data", (request) => onRequest(socket, request)),
  );
  open.push(server);
  return server.port;
}
async function kept(port: number, change: Partial<RegisterOptions> = {}) {
  const changes: RegistrationChange[] = [];
  const onChange = (one: RegistrationChange) => void changes.push(one);
  const retry = { firstMs: 1, maxMs: 2 };
  const registration = await register({ name: "a", port: 5000, epmd: { port }, onChange, retry, ...change });
  open.push(registration);
  return { registration, changes, types: () => changes.map(({ type }) => type) };
}
const granted = encodeAlive2Reply(6, 1000);

describe("register", () => {
  it("holds the name until it is closed, and closing may be repeated", async () => {
    const server = await epmd();
    const { registration, changes } = await kept(server.port);
    expect(registration).toMatchObject({
      name: "a",
      registered: true,
      creation: server.names()[0]?.creation,
    });
    await Promise.all([registration.close(), registration.close()]);
    await registration[Symbol.asyncDispose]();
    expect(registration.registered).toBe(false);
    expect(server.names()).toEqual([]);
    expect(changes).toEqual([]);
  });

  it("sends what it was told", async () => {
    let request: Buffer = Buffer.alloc(0);
    const port = await scripted((socket, bytes) => {
      request = bytes;
      socket.write(encodeAlive2Reply(5, 10));
    });
    const { registration } = await kept(port, {
      name: "ü",
      nodeType: "normal",
      highVersion: 5,
      lowVersion: 4,
      extra: Buffer.of(7),
    });
    expect(request.toString("hex")).toBe("00107813884d00000500040002c3bc000107");
    expect(registration.creation).toBe(2);
  });

  it("takes the reply byte by byte", async () => {
    const port = await scripted((socket) => {
      const next = (i: number): void => {
        if (i < granted.length) socket.write(granted.subarray(i, i + 1), () => setImmediate(next, i + 1));
      };
      next(0);
    });
    expect((await kept(port)).registration.creation).toBe(1000);
  });

  it("fails with EPMD_NAME_TAKEN and closes the connection that epmd leaves open", async () => {
    let closed = false;
    const port = await scripted((socket) => {
      socket.write(encodeAlive2Reply(6, undefined));
      socket.on("close", () => {
        closed = true;
      });
    });
    await expect(kept(port)).rejects.toEqual(code("EPMD_NAME_TAKEN"));
    await expect.poll(() => closed).toBe(true);
  });

  it("fails at once when there is no epmd, even with keep", async () => {
    await expect(kept(await freePort())).rejects.toEqual(code("EPMD_UNREACHABLE"));
  });

  it("fails with EPMD_ABORTED, EPMD_NAME_INVALID, EPMD_OPTIONS_INVALID", async () => {
    const { port } = await epmd();
    await expect(kept(port, { signal: AbortSignal.abort() })).rejects.toEqual(code("EPMD_ABORTED"));
    await expect(kept(port, { name: "a@b" })).rejects.toEqual(code("EPMD_NAME_INVALID"));
    await expect(kept(port, { port: 0 })).rejects.toEqual(code("EPMD_OPTIONS_INVALID"));
  });

  it("is not ended by its signal later on", async () => {
    const server = await epmd();
    const abort = new AbortController();
    const { registration } = await kept(server.port, { signal: abort.signal });
    abort.abort();
    expect(registration.registered).toBe(true);
    expect(server.names()).toHaveLength(1);
  });
});

describe("a registration that is kept", () => {
  it("comes back with epmd and keeps its first creation", async () => {
    const first = await epmd();
    const { registration, types } = await kept(first.port);
    const { creation } = registration;
    await first.close();
    await expect.poll(types).toContain("retry-failed");
    expect(registration.registered).toBe(false);
    const second = await epmd(first.port);
    await expect.poll(() => registration.registered).toBe(true);
    expect(registration.creation).toBe(creation);
    expect(second.names()).toMatchObject([{ name: "a", port: 5000 }]);
    expect(types()[0]).toBe("lost");
    expect(types().at(-1)).toBe("restored");
    await registration.close();
    expect(second.names()).toEqual([]);
  });

  it("tries again while another node has its name", async () => {
    const first = await epmd();
    const { registration, changes } = await kept(first.port);
    await first.close();
    const second = await epmd(first.port);
    const thief = await register({ name: "b", port: 1, epmd: { port: second.port } });
    await expect.poll(() => registration.registered).toBe(true);
    await thief.close();
    expect(changes[0]).toMatchObject({ type: "lost", error: { code: "EPMD_REGISTRATION_LOST" } });
  });

  it("tells that another node has its name, and gets it when that one goes", async () => {
    let grant = false;
    const sockets: Socket[] = [];
    const port = await scripted((socket) => {
      socket.write(sockets.length === 0 || grant ? granted : encodeAlive2Reply(6, undefined));
      sockets.push(socket);
    });
    const { registration, changes } = await kept(port);
    sockets[0]!.destroy();
    const taken = { type: "retry-failed", error: code("EPMD_NAME_TAKEN"), attempt: 1 };
    await expect.poll(() => changes).toContainEqual(taken);
    grant = true;
    await expect.poll(() => registration.registered).toBe(true);
  });

  it.each([
    ["ends it", (socket: Socket) => socket.end()],
    ["resets it", (socket: Socket) => socket.resetAndDestroy()],
    ["speaks on it", (socket: Socket) => socket.write("x")],
  ])("is lost when epmd %s", async (_, act) => {
    const sockets: Socket[] = [];
    const port = await scripted((socket) => {
      sockets.push(socket);
      socket.write(granted);
    });
    const { registration, types } = await kept(port);
    act(sockets[0]!);
    await expect.poll(types).toEqual(["lost", "restored"]);
    expect(registration.registered).toBe(true);
    expect(sockets).toHaveLength(2);
  });

  it("is lost also when epmd closes together with its reply", async () => {
    let first = true;
    const port = await scripted((socket) => {
      if (first) socket.end(granted);
      else socket.write(granted);
      first = false;
    });
    const { types } = await kept(port);
    await expect.poll(types).toEqual(["lost", "restored"]);
  });

  it("is lost for good without keep", async () => {
    const server = await epmd();
    const clock = new FakeClock();
    const { registration, types } = await kept(server.port, { keep: false, clock });
    await server.close();
    await expect.poll(types).toEqual(["lost"]);
    expect(clock.pending).toBe(0);
    expect(registration.registered).toBe(false);
    await registration.close();
  });

  it("waits longer from attempt to attempt, with jitter", async () => {
    const server = await epmd();
    const clock = new FakeClock();
    const waits: number[] = [];
    const after = clock.after.bind(clock);
    clock.after = (ms, run) => {
      waits.push(ms);
      return after(ms, run);
    };
    const options = { clock, retry: { firstMs: 100, maxMs: 300 }, random: () => 0.5, timeoutMs: 9999 };
    const { changes } = await kept(server.port, options);
    await server.close();
    await expect.poll(() => changes.length).toBe(1);
    for (let attempt = 0; attempt < 4; attempt++) {
      clock.advance(300);
      await expect.poll(() => changes.length).toBe(attempt + 2);
    }
    expect(waits.filter((ms) => ms !== 9999)).toEqual([75, 150, 225, 225, 225]);
  });

  it("stops trying when it is closed, while it waits and while it tries", async () => {
    const waiting = await epmd();
    const clock = new FakeClock();
    const first = await kept(waiting.port, { clock });
    await waiting.close();
    await expect.poll(first.types).toEqual(["lost"]);
    expect(clock.pending).toBe(1);
    await first.registration.close();
    expect(clock.pending).toBe(0);

    const sockets: Socket[] = [];
    const port = await scripted((socket) => {
      sockets.push(socket);
      if (sockets.length === 1) socket.write(granted);
    });
    const second = await kept(port);
    sockets[0]!.destroy();
    await expect.poll(() => sockets.length).toBe(2);
    await second.registration.close();
    await expect.poll(() => sockets[1]!.closed).toBe(true);
    expect(second.types()).toEqual(["lost"]);
  });

  it("does not wait for ever for an epmd that does not confirm", async () => {
    const clock = new FakeClock();
    let ended = false;
    // Half-open: the other side is told of the end and does not end its own.
    const server = await ScriptedServer.start((socket) => {
      socket.allowHalfOpen = true;
      socket.on("end", () => {
        ended = true;
      });
      socket.once("data", () => socket.write(granted));
    });
    open.push(server);
    const { registration } = await kept(server.port, { clock, timeoutMs: 500 });
    const closing = registration.close();
    await expect.poll(() => ended).toBe(true);
    clock.advance(500);
    await closing;
  });
});
