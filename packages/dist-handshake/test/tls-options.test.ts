import { inspect } from "node:util";
import { type TlsSide, tlsClientOptions, tlsServerOptions } from "@isthmus/dist-handshake";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Certificate, Certificates } from "./support/certificates.ts";

const code = (expected: string) => expect.objectContaining({ code: expected });

describe("TLS options", () => {
  const made = new Certificates();
  let ca: Certificate;
  let ours: Certificate;
  let good: TlsSide;

  beforeAll(() => {
    ca = made.authority("authority");
    ours = made.certificate("ours", ca, "DNS:localhost");
    good = { cert: ours.cert, key: ours.key, ca: ca.cert };
  });
  afterAll(() => made.remove());

  it("send the host of the wanted node, if it is a name", () => {
    expect(tlsClientOptions(good, "b@host.example").servername).toBe("host.example");
    expect(tlsClientOptions(good, "b@127.0.0.2").servername).toBe("");
    expect(tlsClientOptions(good, "b@::1").servername).toBe("");
    expect(tlsClientOptions({ ...good, serverName: "other" }, "b@host").servername).toBe("other");
    expect(tlsClientOptions({ ...good, serverName: false }, "b@host").servername).toBe("");
  });

  it("verify by default, in both roles", () => {
    expect(tlsClientOptions(good, "b@h").rejectUnauthorized).toBe(true);
    expect(tlsServerOptions(good)).toMatchObject({ requestCert: true, rejectUnauthorized: true });
    expect(tlsServerOptions({ ...good, failIfNoPeerCert: false })).toMatchObject({
      requestCert: true,
      rejectUnauthorized: false,
    });
    expect(tlsServerOptions({ ...good, verify: false })).toMatchObject({
      requestCert: false,
      rejectUnauthorized: false,
    });
  });

  it("take a key beside the certificate, or encrypted", () => {
    expect(() => tlsServerOptions({ cert: `${ours.cert}\n${ours.key}`, ca: ca.cert })).not.toThrow();
    const locked = made.encrypt(ours, "sesame");
    const side = { cert: locked.cert, key: locked.key, ca: ca.cert };
    expect(() => tlsServerOptions({ ...side, passphrase: "sesame" })).not.toThrow();
    for (const wrong of [side, { ...side, passphrase: "wrong-phrase" }]) {
      expect(() => tlsServerOptions(wrong)).toThrowError(code("TLS_OPTIONS_INVALID"));
      try {
        tlsServerOptions(wrong);
      } catch (error) {
        expect(inspect(error, { depth: 9 })).not.toContain("wrong-phrase");
      }
    }
  });

  it("are checked at once", () => {
    const other = made.certificate("other", ca, "DNS:x");
    const invalid: TlsSide[] = [
      { ...good, key: other.key },
      { ...good, cert: "no PEM" },
      { ...good, key: "no PEM" },
      { ...good, ca: "no PEM" },
      { cert: ours.cert, key: ours.key },
      { ca: ca.cert },
      { ...good, ciphers: "NONSENSE" },
      { ...good, minVersion: "TLSv1.3", maxVersion: "TLSv1.2" },
      { ...good, dhparam: "no PEM" },
    ];
    for (const side of invalid)
      expect(() => tlsServerOptions(side), inspect(side)).toThrowError(code("TLS_OPTIONS_INVALID"));
    expect(() => tlsClientOptions({}, "b@h")).toThrowError(code("TLS_OPTIONS_INVALID"));
    expect(() => tlsClientOptions({ verify: false }, "b@h")).not.toThrow();
    expect(() => tlsClientOptions(good, "nonsense")).toThrowError(code("NODE_NAME_INVALID"));
  });
});
