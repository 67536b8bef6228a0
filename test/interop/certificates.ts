import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NodeTls } from "@isthmus/core";

/** A certificate for 127.0.0.1 and the authority that signed it, for both ends of a connection. */
export interface Certificates {
  readonly folder: string;
  /** `ca.pem`, `node.pem` and `node.key` in the folder. */
  readonly tls: NodeTls;
  /** Arguments for `erl`: distribution over TLS, certificates checked by both ends. */
  readonly erl: readonly string[];
  /** Removes the folder. */
  remove(): void;
}

/** Makes them with openssl. */
export function makeCertificates(): Certificates {
  const folder = mkdtempSync(join(tmpdir(), "isthmus-tls-"));
  const openssl = (args: string) => execFileSync("openssl", args.split(" "), { cwd: folder, stdio: "pipe" });
  const key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
  openssl(`req -x509 ${key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-authority`);
  openssl(`req ${key} -keyout node.key -out node.csr -subj /CN=127.0.0.1`);
  writeFileSync(join(folder, "ext"), "subjectAltName=DNS:127.0.0.1,IP:127.0.0.1\n");
  openssl(
    "x509 -req -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out node.pem -days 2 -extfile ext",
  );
  const options = `{certfile,"${folder}/node.pem"},{keyfile,"${folder}/node.key"},{cacertfile,"${folder}/ca.pem"},{verify,verify_peer}`;
  writeFileSync(
    join(folder, "dist.conf"),
    `[{server,[${options},{fail_if_no_peer_cert,true}]},{client,[${options}]}].\n`,
  );
  const pem = (name: string): string => readFileSync(join(folder, name), "utf8");
  const side = { cert: pem("node.pem"), key: pem("node.key"), ca: pem("ca.pem") };
  return {
    folder,
    tls: { dial: side, accept: side },
    erl: [
      ...["-proto_dist", "inet_tls", "-ssl_dist_optfile", join(folder, "dist.conf")],
      // it loads much code for its first connection
      ...["-kernel", "net_setuptime", "60"],
    ],
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
