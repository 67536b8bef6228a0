import { connect as connectTcp, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import {
  acceptTls,
  connectTls,
  runAcceptor,
  runInitiator,
  type TlsRunOptions,
  type TlsSide,
  tlsNodeProblem,
  tlsPeerProblem,
  tlsServerOptions,
} from "@isthmus/dist-handshake";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { FakeClock } from "../../../test/support/fake-clock.ts";
import { type Certificate, Certificates } from "./support/certificates.ts";
import { node } from "./support/nodes.ts";

const code = (expected: string) => expect.objectContaining({ code: expected });

describe("TLS between two of us", () => {
  const made = new Certificates();
  let ca: Certificate;
  let stranger: Certificate;
  let good: TlsSide;
  const sockets: Socket[] = [];
  const servers: Server[] = [];

  beforeAll(() => {
    ca = made.authority("authority");
    stranger = made.authority("stranger");
    const both = made.certificate("both", ca, "DNS:localhost,DNS:*.nodes.example,IP:127.0.0.1");
    good = { cert: both.cert, key: both.key, ca: ca.cert };
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
    for (const server of servers.splice(0)) server.close();
  });
  afterAll(() => made.remove());

  /** A dialled socket, while `accept` gets the other end. */
  function dial(accept: (socket: Socket) => void): Promise<Socket> {
    return new Promise((resolve) => {
      const server = createServer((socket) => {
        sockets.push(socket.on("error", () => undefined));
        accept(socket);
      });
      servers.push(server);
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        const socket = connectTcp(typeof address === "object" ? address!.port : 0, "127.0.0.1");
        sockets.push(socket);
        resolve(socket);
      });
    });
  }

  /** Both ends after their TLS handshakes, or why not. */
  async function join(client: TlsSide, server: TlsSide, peer = "b@localhost") {
    let accepted: Promise<TLSSocket> | undefined;
    const socket = await dial((other) => {
      accepted = acceptTls(other, server);
      accepted.catch(() => undefined);
    });
    const dialled = await connectTls(socket, client, peer).catch((error: unknown) => error as Error);
    while (accepted === undefined) await new Promise((resolve) => setImmediate(resolve));
    if ("destroy" in dialled) dialled.resume().on("error", () => undefined);
    const other = await accepted.catch((error: unknown) => error as Error);
    return { dialled, accepted: other };
  }

  it("makes the whole handshake, and the acceptor can check the name", async () => {
    let problem: unknown = "not asked";
    let other: unknown = "not asked";
    const accepted = new Promise((resolve, reject) => {
      void dial((raw) => {
        acceptTls(raw, good)
          .then((secure) =>
            runAcceptor(secure, {
              local: node("b@localhost"),
              lengthBytes: 4,
              decide: ({ name }) => {
                problem = tlsNodeProblem(secure, name);
                other = tlsNodeProblem(secure, "a@elsewhere");
                return "ok";
              },
            }),
          )
          .then(resolve, reject);
      })
        .then((socket) => connectTls(socket, good, "b@localhost"))
        .then((secure) =>
          runInitiator(secure, { local: node("a@localhost"), peer: "b@localhost", lengthBytes: 4 }),
        )
        .catch(reject);
    });
    expect(await accepted).toMatchObject({ outcome: { peer: "a@localhost" } });
    expect(problem).toBeUndefined();
    expect(other).toEqual(code("TLS_NAME_MISMATCH"));
  });

  it("leaves no listeners of its own", async () => {
    const { dialled, accepted } = await join(good, good);
    await new Promise((resolve) => setImmediate(resolve));
    for (const socket of [accepted]) {
      if (!("destroy" in socket)) throw socket;
      expect(socket.listenerCount("data")).toBe(0);
      expect(socket.listenerCount("secureConnect")).toBe(0);
    }
    expect(dialled).toHaveProperty("authorized", true);
  });

  it.each([
    ["b@localhost", true],
    ["b@127.0.0.1", true],
    ["b@x.nodes.example", true],
    ["b@127.0.0.2", false],
    ["b@elsewhere", false],
  ] as const)("wants a certificate for the host of %s", async (peer, fits) => {
    const { dialled } = await join(good, good, peer);
    if (fits) expect(dialled).toHaveProperty("authorized", true);
    else expect(dialled).toEqual(code("TLS_NAME_MISMATCH"));
  });

  it("looks for another name when told so, or for none", async () => {
    expect(
      (await join({ ...good, serverName: "y.nodes.example" }, good, "b@elsewhere")).dialled,
    ).toHaveProperty("authorized", true);
    expect((await join({ ...good, serverName: false }, good, "b@elsewhere")).dialled).toHaveProperty(
      "authorized",
      true,
    );
    expect((await join({ ...good, serverName: "elsewhere" }, good)).dialled).toEqual(
      code("TLS_NAME_MISMATCH"),
    );
  });

  it("trusts its own authority only", async () => {
    expect((await join({ ...good, ca: stranger.cert }, good)).dialled).toEqual(code("TLS_CERT_UNTRUSTED"));
    expect((await join(good, { ...good, ca: stranger.cert })).accepted).toEqual(code("TLS_CERT_UNTRUSTED"));
    const two = { ...good, ca: [stranger.cert, ca.cert] };
    expect((await join(two, two)).accepted).toHaveProperty("authorized", true);
  });

  it("wants a certificate of the caller, unless told otherwise", async () => {
    const bare = { ca: ca.cert };
    expect((await join(bare, good)).accepted).toEqual(code("TLS_CERT_REQUIRED"));
    const without = await join(bare, { ...good, failIfNoPeerCert: false });
    expect(without.accepted).toHaveProperty("authorized", false);
    expect(tlsNodeProblem(without.accepted as TLSSocket, "a@localhost")).toEqual(code("TLS_CERT_REQUIRED"));
    const none = await join(bare, { cert: good.cert!, key: good.key!, verify: false });
    expect(none.accepted).toHaveProperty("encrypted", true);
  });

  it("still refuses a wrong certificate when none is fine", async () => {
    const theirs = made.certificate("theirs", stranger, "DNS:localhost");
    const client = { cert: theirs.cert, key: theirs.key, ca: ca.cert };
    expect((await join(client, { ...good, failIfNoPeerCert: false })).accepted).toEqual(
      code("TLS_CERT_UNTRUSTED"),
    );
  });

  it("verifies nobody when told so", async () => {
    const theirs = made.certificate("any", stranger, "DNS:nowhere");
    const open = { cert: theirs.cert, key: theirs.key, verify: false, serverName: false } as const;
    const { dialled, accepted } = await join(open, open);
    expect(dialled).toHaveProperty("encrypted", true);
    expect(accepted).toHaveProperty("encrypted", true);
  });

  it("notices a certificate that has expired", async () => {
    const old = made.certificate("old", ca, "DNS:localhost", -1);
    const side = { ...good, cert: old.cert, key: old.key };
    expect((await join(good, side)).dialled).toEqual(code("TLS_CERT_EXPIRED"));
    expect((await join(side, good)).accepted).toEqual(code("TLS_CERT_EXPIRED"));
  });

  it("needs a version in common", async () => {
    const { dialled, accepted } = await join(
      { ...good, minVersion: "TLSv1.3" },
      { ...good, maxVersion: "TLSv1.2" },
    );
    expect(dialled).toEqual(code("TLS_NEGOTIATION_FAILED"));
    expect(accepted).toEqual(code("TLS_NEGOTIATION_FAILED"));
  });

  it("needs a cipher in common", async () => {
    const ciphers = (name: string) => ({ ...good, ciphers: name, maxVersion: "TLSv1.2" }) as const;
    const { accepted } = await join(
      ciphers("ECDHE-ECDSA-AES128-GCM-SHA256"),
      ciphers("ECDHE-ECDSA-AES256-GCM-SHA384"),
    );
    expect(accepted).toEqual(code("TLS_NEGOTIATION_FAILED"));
  });

  it("knows a peer that does not speak TLS", async () => {
    const dialled = await dial((socket) => void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    await expect(connectTls(dialled, good, "b@localhost")).rejects.toEqual(code("TLS_PEER_NOT_TLS"));
    let accepted: Promise<TLSSocket> | undefined;
    const plain = await dial((socket) => {
      accepted = acceptTls(socket, good);
      accepted.catch(() => undefined);
    });
    plain.on("error", () => undefined).write(Buffer.from("000d4e0000000d07df7fbc000000010003614068", "hex"));
    while (accepted === undefined) await new Promise((resolve) => setImmediate(resolve));
    await expect(accepted).rejects.toEqual(code("TLS_PEER_NOT_TLS"));
  });

  it("ends when the peer does, in time, or when told so", async () => {
    const silent = (options: TlsRunOptions) =>
      dial(() => undefined).then((socket) => {
        const run = connectTls(socket, good, "b@localhost", options);
        run.catch(() => undefined);
        return { run, socket };
      });
    const closing = await dial((socket) => void socket.destroy());
    await expect(connectTls(closing, good, "b@localhost")).rejects.toEqual(code("TLS_CLOSED"));

    const clock = new FakeClock();
    const late = await silent({ clock, timeoutMs: 50 });
    clock.advance(50);
    await expect(late.run).rejects.toEqual(code("HANDSHAKE_TIMEOUT"));
    expect(late.socket.destroyed).toBe(true);

    const abort = new AbortController();
    const stopped = await silent({ signal: abort.signal });
    abort.abort();
    await expect(stopped.run).rejects.toEqual(code("HANDSHAKE_ABORTED"));
    expect(stopped.socket.destroyed).toBe(true);
    const never = await silent({ signal: AbortSignal.abort() });
    await expect(never.run).rejects.toEqual(code("HANDSHAKE_ABORTED"));
  });

  it("closes the socket when its options cannot be used", async () => {
    for (const attempt of [
      (socket: Socket) => connectTls(socket, { ...good, key: "no PEM" }, "b@localhost"),
      (socket: Socket) => acceptTls(socket, { ...good, key: "no PEM" }),
      (socket: Socket) => acceptTls(socket, {}),
    ]) {
      const socket = await dial(() => undefined);
      await expect(attempt(socket)).rejects.toEqual(code("TLS_OPTIONS_INVALID"));
      expect(socket.destroyed).toBe(true);
    }
  });

  it("reports a socket that cannot connect", async () => {
    const socket = connectTcp(1, "127.0.0.1");
    await expect(connectTls(socket, good, "b@localhost")).rejects.toMatchObject({
      code: "TLS_CLOSED",
      cause: { code: "ECONNREFUSED" },
    });
  });

  it("fits a tls.Server of one's own", async () => {
    const server = createTlsServer(tlsServerOptions({ ...good, failIfNoPeerCert: false }));
    servers.push(server);
    const accepted = new Promise<TLSSocket>((resolve) => server.once("secureConnection", resolve));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const socket = connectTcp(typeof address === "object" ? address!.port : 0, "127.0.0.1");
    sockets.push(socket);
    await connectTls(socket, good, "b@localhost");
    expect(tlsPeerProblem(await accepted, good)).toBeUndefined();
    sockets.push(await accepted);
  });
});
