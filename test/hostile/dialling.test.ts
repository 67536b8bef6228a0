import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { staticResolver } from "@isthmus/epmd-client";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { u32 } from "./attacker.ts";
import { startVictim, until, type Victim } from "./victim.ts";

const TRAP = "trap@127.0.0.1";

/** A message of the handshake. */
function message(...parts: (string | Buffer)[]): Buffer {
  const bytes = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
}

/** `N`: flags of OTP 27, a challenge, a creation, a name. */
function challenge(name: string): Buffer {
  return message(
    "N",
    Buffer.from("0000000d07df7fbd", "hex"),
    u32(1),
    u32(77),
    Buffer.from([0, name.length]),
    name,
  );
}

describe("a node that we dial, and that", () => {
  let victim: Victim;
  let server: Server;
  let answer: (socket: Socket) => void;
  const sockets = new Set<Socket>();

  beforeAll(async () => {
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
      socket.once("data", () => answer(socket));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    victim = await startVictim({ resolver: staticResolver({ [TRAP]: { port } }) });
  });
  afterAll(async () => {
    server.close();
    await victim?.stop();
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await victim.unharmed();
  });

  const OK = message("sok");
  it.each<[string, readonly (Buffer | string)[], RegExp]>([
    ["never answers", [], /^HANDSHAKE_TIMEOUT$/],
    ["is no node", ["HTTP/1.1 400 Bad Request\r\n\r\n"], /^HANDSHAKE_TOO_LARGE$/],
    ["speaks TLS", [Buffer.from("150303000202", "hex")], /^HANDSHAKE_/],
    ["refuses us", [message("snot_allowed")], /^HANDSHAKE_NOT_ALLOWED$/],
    ["has another opinion than the protocol", [message("smaybe")], /^HANDSHAKE_MALFORMED$/],
    ["says ok twice", [OK, OK], /^HANDSHAKE_MALFORMED$/],
    ["is somebody else", [OK, challenge("other@127.0.0.1")], /^HANDSHAKE_NAME_MISMATCH$/],
    [
      "does not know the cookie",
      [OK, challenge(TRAP), message("a", Buffer.alloc(16))],
      /^HANDSHAKE_COOKIE_REJECTED$/,
    ],
    ["skips the cookie", [OK, challenge(TRAP), message("a")], /^HANDSHAKE_/],
    [
      "can nothing",
      [OK, message("N", Buffer.alloc(8), u32(1), u32(77), Buffer.from([0, TRAP.length]), TRAP)],
      /^HANDSHAKE_FLAGS_REJECTED$/,
    ],
    ["says that it will dial itself, and does not", [message("snok")], /^NO_CONNECTION$/],
  ])("%s", async (_name, bytes, code) => {
    answer = (socket) => {
      for (const one of bytes) socket.write(one);
    };
    const failure = await victim.node.connect(TRAP).then(
      () => undefined,
      (error: { code: string; message: string }) => error,
    );
    expect(failure?.code).toMatch(code);
    expect(failure?.message).not.toContain("biscuit");
    await until(() => sockets.size === 0);
    expect(victim.node.nodes()).toHaveLength(1);
  });

  it("closes at once, is asked again with every message, and costs only those", async () => {
    answer = (socket) => socket.destroy();
    victim.mark();
    for (let n = 0; n < 200; n++) {
      victim.node.send({ name: "anybody", node: TRAP }, Buffer.alloc(10_000));
      if (n % 20 === 0)
        await expect(victim.node.connect(TRAP)).rejects.toMatchObject({ code: "HANDSHAKE_CLOSED" });
    }
    await until(() => sockets.size === 0 && victim.grown() < 5e6);
  });
});
