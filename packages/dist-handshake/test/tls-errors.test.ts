import { tlsError } from "@isthmus/dist-handshake";
import { describe, expect, it } from "vitest";

const error = (code: string, message = "said by OpenSSL") => Object.assign(new Error(message), { code });

describe("a TLS failure", () => {
  it.each([
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "TLS_CERT_UNTRUSTED"],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "TLS_CERT_UNTRUSTED"],
    ["CERT_HAS_EXPIRED", "TLS_CERT_EXPIRED"],
    ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "TLS_CERT_REJECTED"],
    ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLS_CERT_REQUIRED"],
    ["ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE", "TLS_CERT_REQUIRED"],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "TLS_NAME_MISMATCH"],
    ["ERR_SSL_WRONG_VERSION_NUMBER", "TLS_PEER_NOT_TLS"],
    ["ERR_SSL_SOMETHING_NEW", "TLS_NEGOTIATION_FAILED"],
    ["EPROTO", "TLS_NEGOTIATION_FAILED"],
    ["ERR_OSSL_X509_KEY_VALUES_MISMATCH", "TLS_OPTIONS_INVALID"],
  ])("%s is %s, and keeps its cause", (code, ours) => {
    const cause = error(code);
    expect(tlsError(cause)).toMatchObject({ code: ours, cause });
  });

  it("names the host that the certificate is not for", () => {
    expect(
      tlsError(Object.assign(error("ERR_TLS_CERT_ALTNAME_INVALID"), { host: "h.example" }))?.message,
    ).toContain("not for h.example");
  });

  it("is not made of anything else", () => {
    for (const other of [error("ECONNRESET"), error("ENOENT"), error("constructor"), new Error("bug"), {}]) {
      expect(tlsError(other)).toBeUndefined();
    }
    expect(
      tlsError(
        error(
          "ECONNRESET",
          "Client network socket disconnected before secure TLS connection was established",
        ),
      ),
    ).toMatchObject({ code: "TLS_CLOSED" });
  });
});
