import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Certificates, makeCertificates } from "../../../../test/interop/certificates.ts";
import { describeConfig } from "../../src/cli/describe.ts";
import { type BridgeConfig, parseConfig } from "../../src/config/config.ts";
import { changedParts } from "../../src/config/fixed-parts.ts";
import { ownCluster, refusalOf } from "./support.ts";

let made: Certificates;
beforeAll(() => {
  made = makeCertificates();
  writeFileSync(join(made.folder, "passphrase"), "s3cret\n", { mode: 0o400 });
  writeFileSync(join(made.folder, "text"), "s3cret\n");
});
afterAll(() => made.remove());

const parse = (tls: string): Promise<BridgeConfig> =>
  parseConfig(
    `clusters:
  shop: { node: bridge@10.0.0.5, cookie: a, tls: ${tls} }
  billing: { node: billing_bridge@10.0.0.5, cookie: b }
`,
    { file: join(made.folder, "isthmus.yaml"), env: {} },
  );

async function tlsOf(tls: string) {
  return ownCluster((await parse(tls)).clusters, "shop").tls!;
}

const problems = (tls: string): Promise<string> => refusalOf(parse(tls));

const ALL = "certificate: node.pem, key: node.key, ca: ca.pem";

describe("TLS of a cluster", () => {
  it("is one certificate for both roles, from files beside the configuration", async () => {
    const { dial, accept } = await tlsOf(`{ ${ALL} }`);
    expect(String(dial.cert)).toBe(made.tls.dial.cert);
    expect(accept).toEqual(dial);
    expect(describeConfig(await parse(`{ ${ALL} }`))).toContain("any free port, over TLS");
  });

  it("has what a role wants of its own", async () => {
    const { dial, accept } = await tlsOf(
      `{ ${ALL}, min_version: TLSv1.3, dial: { server_name: false, passphrase: { file: passphrase } }, accept: { verify: false, fail_if_no_peer_cert: "false", ca: [ca.pem, ca.pem] } }`,
    );
    expect(dial).toMatchObject({ serverName: false, minVersion: "TLSv1.3", passphrase: "s3cret" });
    expect(accept).toMatchObject({ verify: false, failIfNoPeerCert: false, minVersion: "TLSv1.3" });
    expect((accept.ca as unknown[]).length).toBe(2);
    expect(dial).not.toHaveProperty("verify");
  });

  it.each([
    [
      "{ certificate: node.pem, key: node.key }",
      "clusters.shop.tls is of no use. The TLS options cannot be used",
    ],
    ["{ ca: ca.pem }", "a node that accepts TLS connections needs a certificate"],
    [
      "{ certificate: none.pem, key: node.key, ca: ca.pem }",
      "clusters.shop.tls.certificate is of no use. The file",
    ],
    ["{ certificate: text, key: node.key, ca: ca.pem }", "clusters.shop.tls is of no use."],
    ["{ certificate: node.pem, key: node.key, ca: text }", "ca is not PEM"],
    [`{ ${ALL}, min_version: TLSv1 }`, "clusters.shop.tls.min_version must be TLSv1.2 or TLSv1.3."],
    [`{ ${ALL}, cipher: x }`, 'clusters.shop.tls.cipher is not a key of this place. Did you mean "ciphers"?'],
    [
      `{ ${ALL}, dial: { passphrase: { file: text } } }`,
      "clusters.shop.tls.dial.passphrase.file is of no use",
    ],
  ])("says what is wrong with %s", async (tls, message) => {
    chmodSync(join(made.folder, "text"), 0o644);
    const said = await problems(tls);
    expect(said).toContain(message);
    expect(said).not.toContain("s3cret");
  });

  it("needs a restart when a certificate is another one", async () => {
    const before = (await parse(`{ ${ALL} }`)).fixed;
    writeFileSync(join(made.folder, "ca.pem"), `${made.tls.dial.ca}\n`);
    expect(changedParts(before, (await parse(`{ ${ALL} }`)).fixed)).toEqual(["clusters.shop.tls"]);
  });
});
