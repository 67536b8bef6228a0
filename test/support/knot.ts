import { execFile } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { freePort } from "./epmd.ts";
import { OwnedProcess } from "./owned-process.ts";

/** A change of a zone: records as in a zone file, relative to the zone's name. */
export interface ZoneChange {
  /** `"nodes 5 A 127.0.0.2"`: owner, TTL, type, data. A TTL holds for the whole set of records. */
  readonly set?: readonly string[];
  /** `"nodes A 127.0.0.2"`, or `"nodes A"` for all of that type. */
  readonly unset?: readonly string[];
}

/** A real authoritative name server on loopback, over UDP and TCP, for one zone. */
export interface Knot {
  readonly zone: string;
  readonly host: string;
  readonly port: number;
  /** `127.0.0.1:port`. */
  readonly server: string;
  readonly pid: number;
  readonly output: string;
  /** Makes a change of the zone as one transaction; when this settles it is served. @throws when a record to unset is not there */
  change(change: ZoneChange): Promise<void>;
  /** SIGSTOP and SIGCONT: queries stay unanswered in between. */
  pause(): Promise<void>;
  resume(): void;
  /** Ends it, keeping the port for a `start`. The zone is then as it was at the beginning. Any number of times. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** Starts knotd with `zone` and `records` in it. @throws if it is not installed, or with its output */
export async function startKnot({
  zone = "beam.test",
  records = [],
}: {
  readonly zone?: string;
  readonly records?: readonly string[];
} = {}): Promise<Knot> {
  const programs = { knotd: requireProgram("knotd"), knotc: requireProgram("knotc") };
  // someone else may take a free port before knotd does
  for (let attempt = 1; ; attempt++) {
    const server = new RunningKnot(zone, records, await freePort(), programs);
    try {
      await server.start();
      return server;
    } catch (error) {
      await server.stop();
      if (attempt === 3) throw error;
    }
  }
}

class RunningKnot implements Knot {
  readonly zone: string;
  readonly host = "127.0.0.1";
  readonly port: number;
  readonly #records: readonly string[];
  readonly #programs: { readonly knotd: string; readonly knotc: string };
  #child: OwnedProcess | undefined;
  #folder = "";

  constructor(
    zone: string,
    records: readonly string[],
    port: number,
    programs: { readonly knotd: string; readonly knotc: string },
  ) {
    this.zone = zone;
    this.port = port;
    this.#records = records;
    this.#programs = programs;
  }

  get server(): string {
    return `${this.host}:${this.port}`;
  }
  get pid(): number {
    return this.#child!.pid;
  }
  get output(): string {
    return this.#child?.output ?? "";
  }

  async start(): Promise<void> {
    this.#folder = mkdtempSync(join(tmpdir(), "knot-"));
    const conf = join(this.#folder, "knot.conf");
    writeFileSync(conf, configuration(this.#folder, this.zone, this.port));
    writeFileSync(join(this.#folder, `${this.zone}.zone`), zoneFile(this.zone, this.#records));
    const { knotd } = this.#programs;
    const child = await OwnedProcess.start(`knotd on port ${this.port}`, knotd, ["-c", conf], {});
    this.#child = child;
    child.exited.finally(() => rmSync(this.#folder, { recursive: true, force: true }));
    for (const end = Date.now() + 30_000; child.running && Date.now() < end; await sleep(10)) {
      if (await this.#serves()) return;
    }
    await child.kill();
    throw new Error(`knotd did not serve on port ${this.port}. It printed:\n${child.output}`);
  }

  async change({ set = [], unset = [] }: ZoneChange): Promise<void> {
    await this.#control("zone-begin", this.zone);
    try {
      for (const record of unset) await this.#control("zone-unset", this.zone, ...fields(record, 3));
      for (const record of set) await this.#control("zone-set", this.zone, ...fields(record, 4));
      await this.#control("zone-commit", this.zone);
    } catch (error) {
      await this.#control("zone-abort", this.zone);
      throw error;
    }
  }

  async pause(): Promise<void> {
    await this.#child?.pause();
  }

  resume(): void {
    this.#child?.resume();
  }

  async stop(): Promise<void> {
    await this.#child?.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Its control socket answers with the loaded zone, and its port is open. */
  async #serves(): Promise<boolean> {
    try {
      await this.#control("zone-read", this.zone, "@", "SOA");
    } catch {
      // not yet; the caller asks again until its time is over
      return false;
    }
    return accepts(this.host, this.port);
  }

  async #control(...args: readonly string[]): Promise<void> {
    await promisify(execFile)(this.#programs.knotc, ["-s", join(this.#folder, "sock"), ...args]);
  }
}

/** The first words one by one, the rest as one: SRV data has spaces in it. */
function fields(record: string, count: number): string[] {
  const words = record.split(" ");
  return [...words.slice(0, count - 1), words.slice(count - 1).join(" ")].filter((word) => word !== "");
}

function configuration(folder: string, zone: string, port: number): string {
  return `server:
    rundir: "${folder}"
    pidfile: "${folder}/pid"
    listen: [ 127.0.0.1@${port} ]
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "${folder}/db"
control:
    listen: "${folder}/sock"
log:
  - target: stderr
    any: warning
template:
  - id: default
    storage: "${folder}"
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
zone:
  - domain: ${zone}
`;
}

function zoneFile(zone: string, records: readonly string[]): string {
  const head = ["@ 5 SOA ns. admin. 1 3600 600 86400 2", "@ 5 NS ns", "ns 5 A 127.0.0.1"];
  return [`$ORIGIN ${zone}.`, ...head, ...records, ""].join("\n");
}

function requireProgram(name: string): string {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  const path = folders
    .map((folder) => join(folder, name))
    .find((candidate) => {
      try {
        accessSync(candidate, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
  if (path === undefined) throw new Error(`${name} is not there: install the package knot`);
  return path;
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port });
    socket.setTimeout(1000, () => socket.destroy());
    socket.once("connect", () => {
      resolve(true);
      socket.destroy();
    });
    socket.on("error", () => resolve(false));
    socket.once("close", () => resolve(false));
  });
}
