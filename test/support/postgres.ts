import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { freePort } from "./epmd.ts";
import { OwnedProcess } from "./owned-process.ts";

/** A real PostgreSQL server with data of its own, on loopback. */
export interface Postgres {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly url: string;
  readonly output: string;
  /** Runs one statement on a connection of its own. @returns the rows */
  query(text: string, values?: readonly string[]): Promise<Record<string, unknown>[]>;
  /** Ends it at once, keeping port and data. Any number of times. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Ends it and deletes its data. Any number of times. */
  remove(): Promise<void>;
}

const PROGRAMS = "/usr/lib/postgresql";

/** PEM of what a server shows. */
export interface PostgresTls {
  readonly cert: string;
  readonly key: string;
}

/**
 * Makes a database cluster and starts a server for it.
 * @param options with `tls` the server offers it
 * @throws if it is not there, or with its output
 */
export async function startPostgres(options: { readonly tls?: PostgresTls } = {}): Promise<Postgres> {
  const programs = requirePostgres();
  const folder = mkdtempSync(join(tmpdir(), "isthmus-postgres-"));
  const server = new RunningPostgres(programs, folder, await freePort(), options.tls);
  try {
    await server.initialise();
    await server.start();
    return server;
  } catch (error) {
    await server.remove();
    throw error;
  }
}

function requirePostgres(): string {
  try {
    const [newest] = readdirSync(PROGRAMS).sort((a, b) => Number(b) - Number(a));
    if (newest !== undefined) return join(PROGRAMS, newest, "bin");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  throw new Error(`There is no PostgreSQL in ${PROGRAMS}. Install the package postgresql.`);
}

class RunningPostgres implements Postgres {
  readonly host = "127.0.0.1";
  readonly port: number;
  readonly user = "app";
  readonly password = "s3cret-of-postgres";
  readonly database = "postgres";
  readonly #programs: string;
  readonly #folder: string;
  readonly #tls: PostgresTls | undefined;
  #child: OwnedProcess | undefined;

  constructor(programs: string, folder: string, port: number, tls: PostgresTls | undefined) {
    this.#tls = tls;
    this.#programs = programs;
    this.#folder = folder;
    this.port = port;
  }

  get url(): string {
    return `postgres://${this.user}:${this.password}@${this.host}:${this.port}/${this.database}`;
  }

  get output(): string {
    return this.#child?.output ?? "";
  }

  /** initdb, as the user postgres when we are root: it refuses to be that. */
  async initialise(): Promise<void> {
    const secret = join(this.#folder, "password");
    writeFileSync(secret, this.password);
    for (const [name, pem] of Object.entries(this.#tls ?? {}))
      writeFileSync(join(this.#folder, name), pem, { mode: 0o600 });
    if (isRoot()) await promisify(execFile)("chown", ["-R", "postgres", this.#folder]);
    const args = ["-D", join(this.#folder, "data"), "-A", "scram-sha-256", "-U", this.user];
    const [command, ...all] = this.#command("initdb", [...args, `--pwfile=${secret}`, "--no-sync"]);
    await promisify(execFile)(command, all, { cwd: this.#folder });
  }

  async start(): Promise<void> {
    const settings = [`unix_socket_directories=${this.#folder}`, "listen_addresses=127.0.0.1", "fsync=off"];
    if (this.#tls !== undefined) {
      const [cert, key] = [join(this.#folder, "cert"), join(this.#folder, "key")];
      settings.push("ssl=on", `ssl_cert_file=${cert}`, `ssl_key_file=${key}`);
    }
    const args = ["-D", join(this.#folder, "data"), "-p", String(this.port)];
    const [command, ...all] = this.#command("postgres", [...args, ...settings.flatMap((one) => ["-c", one])]);
    // meanwhile someone's outgoing connection may have taken the port, for a while
    for (const end = Date.now() + 30_000; ; await sleep(200)) {
      const child = await OwnedProcess.start(`PostgreSQL on port ${this.port}`, command, all, {});
      this.#child = child;
      if (await this.#ready(child)) return;
      await this.stop();
      if (Date.now() > end) {
        throw new Error(`PostgreSQL did not start on port ${this.port}. It printed:\n${child.output}`);
      }
    }
  }

  async stop(): Promise<void> {
    // SIGQUIT ends it with all its connections; SIGKILL would leave its children
    this.#child?.signal("SIGQUIT");
    await this.#child?.exited;
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async query(text: string, values: readonly string[] = []): Promise<Record<string, unknown>[]> {
    const client = new pg.Client({ connectionString: this.url });
    await client.connect();
    try {
      return (await client.query(text, [...values])).rows;
    } finally {
      await client.end();
    }
  }

  #command(program: string, args: readonly string[]): [string, ...string[]] {
    const path = join(this.#programs, program);
    if (!isRoot()) return [path, ...args];
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", path, ...args];
  }

  async #ready(child: OwnedProcess): Promise<boolean> {
    for (const end = Date.now() + 30_000; child.running && Date.now() < end; await sleep(20)) {
      const rows = await this.query("SELECT 1 AS one").catch(() => []);
      if (rows.length === 1) return true;
    }
    return false;
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}
