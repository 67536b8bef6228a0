import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseSslDistOptions, readSslDistOptfile } from "@isthmus/dist-handshake";
import { describe, expect, it } from "vitest";

const code = (expected: string) => expect.objectContaining({ code: expected });
const parse = (text: string) => parseSslDistOptions(text, (path) => Buffer.from(`<${path}>`));

describe("an option file", () => {
  it("gives both roles", () => {
    const found = parse(`
      %% distribution over TLS
      [{server, [{certfile, "/e/cert.pem"}, {keyfile, "/e/key.pem"}, {password, "open"},
                 {cacertfile, "/e/ca.pem"}, {verify, verify_peer}, {fail_if_no_peer_cert, true},
                 {versions, ['tlsv1.3', 'tlsv1.2']}, {honor_cipher_order, true}, {dhfile, "/e/dh.pem"},
                 {secure_renegotiate, true}, {depth, 2}]},
       {client, [{certfile, "/e/" "cert.pem"}, {cacertfile, <<"/e/ca.pem">>}, {verify, verify_none},
                 {ciphers, ["A", "B"]}, {server_name_indication, disable}, {versions, ['tlsv1.2']}]}].
    `);
    const pem = (name: string) => Buffer.from(`</e/${name}.pem>`);
    expect(found.server).toEqual({
      cert: pem("cert"),
      key: pem("key"),
      passphrase: "open",
      ca: pem("ca"),
      verify: true,
      failIfNoPeerCert: true,
      minVersion: "TLSv1.2",
      maxVersion: "TLSv1.3",
      honorCipherOrder: true,
      dhparam: pem("dh"),
    });
    expect(found.client).toEqual({
      cert: pem("cert"),
      ca: pem("ca"),
      verify: false,
      ciphers: "A:B",
      serverName: false,
      minVersion: "TLSv1.2",
      maxVersion: "TLSv1.2",
    });
    expect(found.ignored).toEqual(["server.secure_renegotiate", "server.depth"]);
  });

  it("without a choice verifies servers and not clients, as OTP 26 does", () => {
    for (const text of ["[].", "[{server, []}, {client, []}]."]) {
      expect(parse(text)).toEqual({
        client: { verify: true },
        server: { verify: false, failIfNoPeerCert: false },
        ignored: [],
      });
    }
  });

  it("counts the first of two equal options", () => {
    expect(parse("[{client, [{verify, verify_none}, {verify, verify_peer}]}].").client.verify).toBe(false);
    expect(parse('[{client, [{server_name_indication, "x"}]}].').client.serverName).toBe("x");
  });

  it("with checks that cannot be made here is refused", () => {
    for (const option of [
      "{verify_fun, {m, f, []}}",
      "{crl_check, true}",
      "{cacerts, []}",
      '{psk_identity, "x"}',
    ]) {
      expect(() => parse(`[{server, [${option}]}].`)).toThrowError(code("TLS_OPTIONS_UNSUPPORTED"));
    }
    expect(parse("[{server, [{crl_check, false}]}].").ignored).toEqual(["server.crl_check"]);
    expect(parse("[{server, [{verify_fun2, fun m:f/3}, inet6]}].").ignored).toEqual([
      "server.verify_fun2",
      "server.inet6",
    ]);
  });

  it.each([
    "",
    "[]",
    "{}.",
    "[{server, []}",
    "[{server, {}}].",
    "[{server, [{verify, yes}]}].",
    "[{server, [{verify}]}].",
    "[{server, [{certfile, 5}]}].",
    "[{server, [{versions, []}]}].",
    '[{server, [{certfile, "open]}].',
    "[{server, [{1, 2}]}].",
    "[Server].",
    "[]. []",
    "[a | b].",
    `${"[".repeat(100)}${"]".repeat(100)}.`,
    `[${" ".repeat(300_000)}].`,
  ])("that is none is refused: %.40j", (text) => {
    expect(() => parse(text)).toThrowError(code("TLS_OPTFILE_INVALID"));
  });

  it("is read together with the files it names", () => {
    const folder = mkdtempSync(join(tmpdir(), "isthmus-optfile-"));
    try {
      const cert = join(folder, "cert.pem");
      const file = join(folder, "ssl_dist.conf");
      writeFileSync(cert, "PEM");
      writeFileSync(file, `[{client, [{certfile, "${cert}"}]}].`);
      expect(readSslDistOptfile(file).client.cert).toEqual(Buffer.from("PEM"));
      writeFileSync(file, `[{client, [{certfile, "${cert}.none"}]}].`);
      expect(() => readSslDistOptfile(file)).toThrowError(code("TLS_OPTIONS_INVALID"));
      expect(() => readSslDistOptfile(join(folder, "none"))).toThrowError(code("TLS_OPTFILE_INVALID"));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
