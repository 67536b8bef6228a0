import { connectTls, readSslDistOptfile, runInitiator, type TlsSide } from "@isthmus/dist-handshake";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Beam, Epmd, installedOtps, tcp } from "./support/beam.ts";
import { type Certificate, Certificates } from "./support/certificates.ts";
import { hidden, OurNode } from "./support/our-node.ts";

const COOKIE = "monster";
/** A BEAM loads much code for its first connection over TLS: on a busy machine that takes longer than a handshake may. */
const PATIENT = { timeoutMs: 60_000 };
const code = (expected: string) => expect.objectContaining({ code: expected });

describe.each(installedOtps())("TLS distribution of OTP $release", (otp) => {
  const made = new Certificates();
  let ca: Certificate;
  let stranger: Certificate;
  let ours: Certificate;
  let epmd: Epmd;
  let beam: Beam;
  let port = 0;
  let files: ReturnType<typeof readSslDistOptfile>;
  const open: { stop(): Promise<void> | void }[] = [];

  beforeAll(async () => {
    ca = made.authority("authority");
    stranger = made.authority("stranger");
    ours = made.certificate("ours", ca, "DNS:localhost,IP:127.0.0.1");
    const beams = made.certificate("beams", ca, "DNS:localhost");
    const side = (more: string) =>
      `[{certfile, "${beams.certFile}"}, {keyfile, "${beams.keyFile}"}, {cacertfile, "${ca.certFile}"}, {verify, verify_peer}${more}]`;
    const optfile = made.file(
      "ssl_dist.conf",
      `%% both roles\n[{server, ${side(", {fail_if_no_peer_cert, true}, {secure_renegotiate, true}")}},\n {client, ${side("")}}].\n`,
    );
    files = readSslDistOptfile(optfile);
    epmd = await Epmd.start();
    beam = await Beam.start({
      otp,
      epmd,
      name: "m@localhost",
      cookie: COOKIE,
      args: ["-proto_dist", "inet_tls", "-ssl_dist_optfile", optfile, "-kernel", "net_setuptime", "60"],
    });
    port = await epmd.lookup("m");
  });
  afterEach(async () => {
    for (const one of open.splice(0)) await one.stop();
    await beam.until("nodes(connected).", "[]");
  });
  afterAll(async () => {
    await beam?.stop();
    await epmd?.stop();
    made.remove();
  });

  const dial = async (tls: TlsSide, peer = "m@localhost") => {
    const socket = await tcp(port);
    open.push({ stop: () => void socket.destroy() });
    const secure = await connectTls(socket, tls, peer, PATIENT);
    open.push({ stop: () => void secure.destroy() });
    const local = hidden("us@localhost", [COOKIE]);
    const run = await runInitiator(secure, { local, peer, lengthBytes: 4, ...PATIENT });
    // it counts us as connected a little after its last message
    await beam.until("nodes(hidden).", "[us@localhost]");
    return { ...run, secure };
  };
  const listen = async (tls: TlsSide | undefined) => {
    const node = await OurNode.start(
      epmd,
      hidden("us@localhost", [COOKIE]),
      tls === undefined ? PATIENT : { tls, ...PATIENT },
    );
    open.push(node);
    return node;
  };
  const connectToUs = () => beam.eval("net_kernel:connect_node('us@localhost').");
  const trusted = (): TlsSide => ({ cert: ours.cert, key: ours.key, ca: ca.cert });

  it("is dialled, both sides verified", async () => {
    const { outcome, secure } = await dial(trusted());
    expect(outcome).toMatchObject({ peer: "m@localhost", hidden: true });
    expect(secure.authorized).toBe(true);
    await beam.until("nodes(hidden).", "[us@localhost]");
  });

  it("dials us, both sides verified", async () => {
    const node = await listen(trusted());
    expect(await connectToUs()).toBe("true");
    expect(await node.arrival()).toMatchObject({ done: { outcome: { peer: "m@localhost" } } });
    await beam.until("nodes(hidden).", "[us@localhost]");
  });

  it("understands us with its own option file in both roles", async () => {
    expect(files.ignored).toEqual(["server.secure_renegotiate"]);
    expect((await dial(files.client)).outcome.peer).toBe("m@localhost");
    for (const one of open.splice(0)) await one.stop();
    await beam.until("nodes(connected).", "[]");
    const node = await listen(files.server);
    expect(await connectToUs()).toBe("true");
    expect(await node.arrival()).toMatchObject({ done: {} });
  });

  it("wants a certificate of us", async () => {
    // the answer that says so is new in TLS 1.3; OTP 29 is the first to prefer that
    const expected = otp.release < 29 ? "TLS_NEGOTIATION_FAILED" : "TLS_CERT_REQUIRED";
    await expect(dial({ ca: ca.cert })).rejects.toEqual(code(expected));
  });

  it("refuses our certificate when it does not know who made it", async () => {
    const theirs = made.certificate("theirs", stranger, "DNS:localhost");
    await expect(dial({ cert: theirs.cert, key: theirs.key, ca: ca.cert })).rejects.toEqual(
      code("TLS_CERT_REJECTED"),
    );
    const node = await listen({ cert: theirs.cert, key: theirs.key, ca: ca.cert });
    expect(await connectToUs()).toBe("false");
    expect(await node.arrival()).toEqual({ error: code("TLS_CERT_REJECTED") });
  });

  it("refuses our certificate when it is for another host", async () => {
    const other = made.certificate("other", ca, "DNS:elsewhere.example");
    const node = await listen({ cert: other.cert, key: other.key, ca: ca.cert });
    expect(await connectToUs()).toBe("false");
    expect(await node.arrival()).toEqual({
      error: expect.objectContaining({ code: expect.stringMatching(/^TLS_/) }),
    });
  });

  it("is refused when we do not know who made its certificate", async () => {
    await expect(dial({ ...trusted(), ca: stranger.cert })).rejects.toEqual(code("TLS_CERT_UNTRUSTED"));
    const node = await listen({ ...trusted(), ca: stranger.cert });
    expect(await connectToUs()).toBe("false");
    // since TLS 1.3 it sees that it has none of our authority, and sends none
    const expected = otp.release < 29 ? "TLS_CERT_UNTRUSTED" : "TLS_CERT_REQUIRED";
    expect(await node.arrival()).toEqual({ error: code(expected) });
  });

  it("is refused when its certificate is not for the host that we wanted", async () => {
    await expect(dial(trusted(), "m@127.0.0.1")).rejects.toEqual(code("TLS_NAME_MISMATCH"));
  });

  it("is recognized by those who do not use TLS", async () => {
    const socket = await tcp(port);
    open.push({ stop: () => void socket.destroy() });
    const plain = runInitiator(socket, { local: hidden("us@localhost", [COOKIE]), peer: "m@localhost" });
    // OTP 23 says nothing, later ones answer with an alert
    const expected = otp.release < 25 ? "HANDSHAKE_CLOSED" : "HANDSHAKE_PEER_SPEAKS_TLS";
    await expect(plain).rejects.toEqual(code(expected));
    const node = await listen(undefined);
    expect(await connectToUs()).toBe("false");
    expect(await node.arrival()).toEqual({ error: code("HANDSHAKE_PEER_SPEAKS_TLS") });
  });
});
