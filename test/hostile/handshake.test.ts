import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "node:tls";
import { internedAtomCount } from "@isthmus/etf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Certificates, makeCertificates } from "../interop/certificates.ts";
import { attack, rawSocket } from "./attacker.ts";
import { startVictim, until, type Victim } from "./victim.ts";

/** `N`: flags of a hidden OTP 25 node, a creation, the name. */
function hello(name: string): Buffer {
  const message = Buffer.alloc(15 + name.length);
  message.write("N");
  message.writeBigUInt64BE(0xd07df7fbcn, 1);
  message.writeUInt32BE(66, 9);
  message.writeUInt16BE(name.length, 13);
  message.write(name, 15, "latin1");
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

describe("before the handshake is over", () => {
  let victim: Victim;
  beforeAll(async () => {
    victim = await startVictim();
    victim.mark();
  });
  afterAll(() => victim?.stop());

  it("a cookie is not found by trying, and the log never shows ours", async () => {
    for (let n = 0; n < 50; n++) {
      const guess = attack({
        port: victim.port,
        name: "guess@127.0.0.1",
        victim: victim.node.name,
        cookie: `c${n}`,
      });
      await expect(guess).rejects.toMatchObject({ code: expect.stringMatching(/^HANDSHAKE_/) });
      expect(await victim.refused()).toBe("HANDSHAKE_COOKIE_REJECTED");
    }
    expect(JSON.stringify(victim.log)).not.toContain("biscuit");
    await victim.unharmed();
  });

  it("nobody takes the place of a connected node without the cookie", async () => {
    const name = victim.beam.node;
    const impostor = attack({ port: victim.port, name, victim: victim.node.name, cookie: "wrong" });
    await expect(impostor).rejects.toMatchObject({ code: expect.stringMatching(/^HANDSHAKE_/) });
    expect(await victim.refused()).toBe("HANDSHAKE_COOKIE_REJECTED");
    // nor with half a handshake
    const socket = await rawSocket(victim.port);
    socket.write(hello(name));
    await new Promise((resolve) => socket.once("data", resolve));
    await victim.unharmed();
    socket.destroy();
    expect(await victim.refused()).toBe("HANDSHAKE_CLOSED");
    await victim.unharmed();
  });

  it.each([
    ["then silence", 5],
    ["without end", Number.POSITIVE_INFINITY],
  ])("a greeting byte by byte, %s, has its time and no more", async (_name, count) => {
    const socket = await rawSocket(victim.port);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    // a name that will never be complete in time
    const greeting = hello(`${"x".repeat(200)}@127.0.0.1`);
    for (let n = 0; n < Math.min(count, greeting.length - 1) && !socket.destroyed; n++) {
      socket.write(greeting.subarray(n, n + 1));
      await sleep(20);
    }
    await closed;
    expect(await victim.refused()).toBe("HANDSHAKE_TIMEOUT");
    await victim.unharmed();
  });

  it.each([
    ["a web browser", Buffer.from("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), "HANDSHAKE_TOO_LARGE"],
    ["the longest message", Buffer.alloc(70_000, 0xff), "HANDSHAKE_TOO_LARGE"],
    ["a TLS client", Buffer.from("160301020001000001fc0303", "hex"), "HANDSHAKE_PEER_SPEAKS_TLS"],
    ["an empty message", Buffer.from([0, 0]), "HANDSHAKE_MALFORMED"],
    ["the greeting twice", Buffer.concat([hello("a@b"), hello("a@b")]), "HANDSHAKE_MALFORMED"],
    ["a name without host", hello("nobody"), "HANDSHAKE_MALFORMED"],
    ["a name with line breaks", hello("a\r\n@b"), "HANDSHAKE_MALFORMED"],
    ["our own name", hello("victim@127.0.0.1"), "HANDSHAKE_NOT_ALLOWED"],
  ])("%s is sent away", async (_name, bytes, code) => {
    const socket = await rawSocket(victim.port);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.resume();
    socket.write(bytes);
    await closed;
    expect(await victim.refused()).toBe(code);
    await victim.unharmed();
  });

  it("a thousand half-open connections keep nobody out for longer than a handshake may take", async () => {
    const sockets = await Promise.all(Array.from({ length: 1000 }, () => rawSocket(victim.port)));
    for (const socket of sockets) {
      socket.resume();
      socket.write(hello("half@127.0.0.1").subarray(0, 9));
    }
    // those beyond the limit are not kept at all
    await until(() => sockets.filter(({ destroyed }) => destroyed).length >= 1000 - 128);
    await victim.unharmed();
    await until(() => sockets.every(({ destroyed }) => destroyed));
    const guest = await attack({ port: victim.port, name: "guest@127.0.0.1", victim: victim.node.name });
    expect(guest.open).toBe(true);
    guest.end();
    expect(await victim.downReason(guest.name)).toBe("CONNECTION_CLOSED");
    await victim.unharmed();
  });

  it("names that nobody vouched for are forgotten, and so is everything else", async () => {
    const before = internedAtomCount();
    for (let batch = 0; batch < 40; batch++) {
      await Promise.all(
        Array.from({ length: 50 }, async (_, n) => {
          const socket = await rawSocket(victim.port);
          socket.write(hello(`made_up_${batch}_${n}@127.0.0.1`));
          await new Promise((resolve) => socket.once("data", resolve).once("close", resolve));
          socket.destroy();
        }),
      );
    }
    await victim.unharmed();
    await until(() => {
      victim.grown();
      return internedAtomCount() - before < 200;
    });
    await until(() => victim.grown() < 20e6);
  });
});

describe("before the handshake of TLS is over", () => {
  let certificates: Certificates;
  let strangers: Certificates;
  let victim: Victim;
  beforeAll(async () => {
    certificates = makeCertificates();
    strangers = makeCertificates();
    victim = await startVictim({ tls: certificates.tls }, certificates.erl);
  });
  afterAll(async () => {
    await victim?.stop();
    certificates.remove();
    strangers.remove();
  });

  it.each([
    ["who does not speak TLS", hello("plain@127.0.0.1"), /^TLS_/],
    [
      "who speaks no more than its first bytes",
      Buffer.from("1603010200010001fc", "hex"),
      /^(TLS_|HANDSHAKE_TIMEOUT)/,
    ],
    [
      "who sends garbage as TLS",
      Buffer.concat([Buffer.from("160301ffff", "hex"), Buffer.alloc(70_000, 7)]),
      /^TLS_/,
    ],
  ])("a client %s is sent away", async (_name, bytes, code) => {
    const socket = await rawSocket(victim.port);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.resume();
    socket.write(bytes);
    await closed;
    expect(await victim.refused()).toMatch(code);
    await victim.unharmed();
  });

  it.each([
    ["without a certificate", () => ({})],
    [
      "with a certificate of somebody else",
      () => ({ cert: strangers.tls.accept.cert, key: strangers.tls.accept.key }),
    ],
  ])("a client %s is sent away, whatever cookie it knows", async (_name, own) => {
    const { ca } = certificates.tls.dial;
    const socket = connect({ host: "127.0.0.1", port: victim.port, ca: ca as string, ...own() });
    // with TLS 1.3 the client learns of it after its own part is done
    const ended = new Promise((resolve) => socket.once("close", resolve).on("error", () => undefined));
    socket.on("secureConnect", () => socket.write(hello("tls@127.0.0.1")));
    await ended;
    expect(await victim.refused()).toMatch(/^TLS_CERT_/);
    await victim.unharmed();
  });

  it("many that say nothing have their time and no more", async () => {
    const sockets = await Promise.all(Array.from({ length: 300 }, () => rawSocket(victim.port)));
    for (const socket of sockets) socket.resume();
    await until(() => sockets.every(({ destroyed }) => destroyed));
    await victim.unharmed();
  });
});
