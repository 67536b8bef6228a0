import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A certificate or authority: paths, and the PEM text in them. */
export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

/** A folder with certificates made by openssl, for one test file. */
export class Certificates {
  readonly folder = mkdtempSync(join(tmpdir(), "isthmus-tls-"));
  #serial = 1;

  /** An authority of its own. */
  authority(name: string): Certificate {
    const files = this.#files(name);
    this.#openssl([
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-keyout", files.keyFile, "-out", files.certFile, "-subj", `/CN=${name}`, "-days", "2"],
      ...["-addext", "keyUsage=critical,keyCertSign,cRLSign"],
    ]);
    return read(files);
  }

  /** A certificate for the given `subjectAltName`, such as `DNS:localhost,IP:127.0.0.1`. */
  certificate(name: string, authority: Certificate, subjectAltName: string, days = 2): Certificate {
    const files = this.#files(name);
    const request = join(this.folder, `${name}.csr`);
    const extensions = join(this.folder, `${name}.ext`);
    writeFileSync(extensions, `subjectAltName=${subjectAltName}\nbasicConstraints=CA:FALSE\n`);
    this.#openssl([
      ...["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-keyout", files.keyFile, "-out", request, "-subj", `/CN=${name}`],
    ]);
    this.#openssl([
      ...["x509", "-req", "-in", request, "-CA", authority.certFile, "-CAkey", authority.keyFile],
      ...["-set_serial", String(++this.#serial), "-days", String(days), "-extfile", extensions],
      ...["-out", files.certFile],
    ]);
    return read(files);
  }

  /** The key of a certificate, encrypted. */
  encrypt(certificate: Certificate, passphrase: string): Certificate {
    const keyFile = `${certificate.keyFile}.encrypted`;
    this.#openssl([
      ...["pkcs8", "-topk8", "-in", certificate.keyFile, "-out", keyFile],
      ...["-v2", "aes-128-cbc", "-passout", `pass:${passphrase}`],
    ]);
    return read({ certFile: certificate.certFile, keyFile });
  }

  /** Writes a file into the folder. */
  file(name: string, content: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, content);
    return path;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #files(name: string) {
    return { certFile: join(this.folder, `${name}.pem`), keyFile: join(this.folder, `${name}.key`) };
  }

  #openssl(args: readonly string[]): void {
    const { status, stderr, error } = spawnSync("openssl", args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`These tests need openssl. It says: ${error?.message ?? stderr}`);
  }
}

function read(files: { readonly certFile: string; readonly keyFile: string }): Certificate {
  return { ...files, cert: readFileSync(files.certFile, "utf8"), key: readFileSync(files.keyFile, "utf8") };
}
