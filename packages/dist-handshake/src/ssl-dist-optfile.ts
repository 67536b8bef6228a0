import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { SecureVersion } from "node:tls";
import { type ErlangLiteral, parseErlangLiteral } from "./erlang-literal.ts";
import { handshakeError } from "./errors.ts";
import type { TlsSide } from "./tls-options.ts";

/** Both roles as an option file of a BEAM has them. */
export interface SslDistOptions {
  /** For dialling. */
  readonly client: TlsSide;
  /** For accepting. */
  readonly server: TlsSide;
  /** Options that have no counterpart here and no influence on who is trusted, as `role.option`, for a warning. */
  readonly ignored: readonly string[];
}

type Role = "client" | "server";
type Reader = (value: ErlangLiteral, where: string, readPem: (path: string) => Buffer) => Mutable<TlsSide>;
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const VERSIONS: Readonly<Record<string, SecureVersion>> = {
  tlsv1: "TLSv1",
  "tlsv1.1": "TLSv1.1",
  "tlsv1.2": "TLSv1.2",
  "tlsv1.3": "TLSv1.3",
};

/** OTP's option, and what becomes of it. */
const READERS: Readonly<Record<string, Reader>> = {
  certfile: (value, where, readPem) => ({ cert: readPem(text(value, where)) }),
  keyfile: (value, where, readPem) => ({ key: readPem(text(value, where)) }),
  cacertfile: (value, where, readPem) => ({ ca: readPem(text(value, where)) }),
  dhfile: (value, where, readPem) => ({ dhparam: readPem(text(value, where)) }),
  password: (value, where) => ({ passphrase: text(value, where) }),
  verify: (value, where) => ({ verify: oneOf(value, where, { verify_peer: true, verify_none: false }) }),
  fail_if_no_peer_cert: (value, where) => ({ failIfNoPeerCert: boolean(value, where) }),
  honor_cipher_order: (value, where) => ({ honorCipherOrder: boolean(value, where) }),
  server_name_indication: (value, where) => ({
    serverName: value.kind === "atom" && value.name === "disable" ? false : text(value, where),
  }),
  ciphers: (value, where) => ({
    ciphers:
      value.kind === "list" ? value.items.map((item) => text(item, where)).join(":") : text(value, where),
  }),
  versions(value, where) {
    const list = value.kind === "list" ? value.items : [value];
    const versions = list.map((item) => oneOf(item, where, VERSIONS)).sort();
    if (versions.length === 0) throw wrong(where, "is empty");
    return { minVersion: versions[0]!, maxVersion: versions.at(-1)! };
  },
};

/** Checks that Node.js cannot make: to leave them out silently would weaken the node. */
const UNSUPPORTED: ReadonlySet<string> = new Set([
  "verify_fun",
  "partial_chain",
  "crl_check",
  "cert",
  "key",
  "cacerts",
  "certs_keys",
  "signature_algs",
  "signature_algs_cert",
  "eccs",
  "supported_groups",
  "psk_identity",
  "user_lookup_fun",
  "sni_fun",
  "sni_hosts",
]);

/**
 * Reads the file that a BEAM gets with `-ssl_dist_optfile`, and the PEM files it names (relative ones from the
 * current folder, as a BEAM does). What the file leaves open is as in OTP 26 and later: a client verifies its peer, a
 * server does not. See {@link parseSslDistOptions}.
 * @throws IsthmusError `TLS_OPTFILE_INVALID`, `TLS_OPTIONS_INVALID`, `TLS_OPTIONS_UNSUPPORTED`
 */
export function readSslDistOptfile(path: string): SslDistOptions {
  let source: string;
  try {
    source = readFileSync(path, "utf8");
  } catch (cause) {
    throw handshakeError("TLS_OPTFILE_INVALID", `The TLS option file ${path} cannot be read.`, {
      cause,
      context: { path },
    });
  }
  return parseSslDistOptions(source, (file) => {
    try {
      return readFileSync(resolve(file));
    } catch (cause) {
      throw handshakeError("TLS_OPTIONS_INVALID", `${file}, named by ${path}, cannot be read.`, {
        cause,
        context: { path, file },
      });
    }
  });
}

/**
 * The text of an option file: `[{server, [{certfile, "..."}, ...]}, {client, [...]}].`
 * @param readPem gives the content of a file that the text names
 * @throws IsthmusError `TLS_OPTFILE_INVALID`, `TLS_OPTIONS_UNSUPPORTED`, whatever `readPem` throws
 */
export function parseSslDistOptions(source: string, readPem: (path: string) => Buffer): SslDistOptions {
  const roles = new Map<string, ErlangLiteral>();
  for (const [name, value] of properties(parseErlangLiteral(source), "the file")) roles.set(name, value);
  const ignored: string[] = [];
  const side = (role: Role, otherwise: TlsSide): TlsSide => {
    const found: Mutable<TlsSide> = { ...otherwise };
    const seen = new Set<string>();
    for (const [name, value] of properties(roles.get(role) ?? { kind: "list", items: [] }, role)) {
      const where = `${role}.${name}`;
      // the first one counts in a property list
      if (seen.has(name)) continue;
      seen.add(name);
      const reader = READERS[name];
      if (reader !== undefined) Object.assign(found, reader(value, where, readPem));
      else if (UNSUPPORTED.has(name) && !isFalse(value)) throw unsupported(where);
      else ignored.push(where);
    }
    return found;
  };
  return {
    client: side("client", { verify: true }),
    server: side("server", { verify: false, failIfNoPeerCert: false }),
    ignored,
  };
}

function properties(value: ErlangLiteral, where: string): [string, ErlangLiteral][] {
  if (value.kind !== "list") throw wrong(where, "is not a list");
  return value.items.map((item) => {
    if (item.kind === "atom") return [item.name, { kind: "atom", name: "true" }];
    const [key, found] = item.kind === "tuple" ? item.items : [];
    if (item.kind !== "tuple" || item.items.length !== 2 || key?.kind !== "atom" || found === undefined) {
      throw wrong(where, "has an element that is not {option, value}");
    }
    return [key.name, found];
  });
}

function text(value: ErlangLiteral, where: string): string {
  if (value.kind === "string" || value.kind === "binary") return value.text;
  throw wrong(where, "is not a string");
}

function boolean(value: ErlangLiteral, where: string): boolean {
  return oneOf(value, where, { true: true, false: false });
}

function oneOf<T>(value: ErlangLiteral, where: string, known: Readonly<Record<string, T>>): T {
  if (value.kind === "atom" && Object.hasOwn(known, value.name)) return known[value.name]!;
  throw wrong(where, `is not one of ${Object.keys(known).join(", ")}`);
}

function isFalse(value: ErlangLiteral): boolean {
  return value.kind === "atom" && value.name === "false";
}

function wrong(where: string, problem: string): Error {
  return handshakeError("TLS_OPTFILE_INVALID", `In the TLS option file ${where} ${problem}.`, {
    context: { option: where },
  });
}

function unsupported(where: string): Error {
  return handshakeError(
    "TLS_OPTIONS_UNSUPPORTED",
    `The TLS option file sets ${where}, which this program cannot honour. Remove it if the node is safe without.`,
    { context: { option: where } },
  );
}
