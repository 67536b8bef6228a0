import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** PEM of a certificate, its key, and the authority that signed it. */
export interface SiteCertificate {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/**
 * Makes an authority and a certificate for each name, with openssl.
 * @param names such as "north" or "127.0.0.1", which become DNS names, addresses too where they are some
 */
export function makeCertificates(...names: readonly string[]): SiteCertificate[] {
  const folder = mkdtempSync(join(tmpdir(), "isthmus-trunk-tls-"));
  const openssl = (args: string): unknown =>
    execFileSync("openssl", args.split(" "), { cwd: folder, stdio: "pipe" });
  const read = (name: string): string => readFileSync(join(folder, name), "utf8");
  const key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
  try {
    openssl(`req -x509 ${key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority`);
    return names.map((name) => {
      const address = /^[\d.]+$/.test(name) ? `,IP:${name}` : "";
      writeFileSync(join(folder, "ext"), `subjectAltName=DNS:${name}${address}\n`);
      openssl(`req ${key} -keyout one.key -out one.csr -subj /O=test`);
      openssl(
        "x509 -req -in one.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out one.pem -days 2 -extfile ext",
      );
      return { cert: read("one.pem"), key: read("one.key"), ca: read("ca.pem") };
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
