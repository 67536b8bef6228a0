import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./epmd.ts";
import { OwnedProcess } from "./owned-process.ts";

/** Who may do what: subjects, with wildcards. */
export interface NatsUser {
  readonly user: string;
  readonly password: string;
  readonly publish?: readonly string[];
  readonly subscribe?: readonly string[];
}

/** PEM of what a server shows; with `ca` whoever connects must show a certificate of that authority. */
export interface NatsTls {
  readonly cert: string;
  readonly key: string;
  readonly ca?: string;
}

/** A real nats-server on loopback. */
export interface Nats {
  readonly port: number;
  /** `nats://127.0.0.1:port`. */
  readonly url: string;
  readonly output: string;
  /** SIGSTOP and SIGCONT: connections stay, nothing moves in between. */
  pause(): Promise<void>;
  resume(): void;
  /** Ends it at once by its pid, keeping the port for a `start`. Any number of times. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Ends it for good. */
  stop(): Promise<void>;
}

/** Starts nats-server and waits until it answers. @throws if it is not installed, or with its output */
export async function startNats(
  options: {
    readonly token?: string;
    readonly users?: readonly NatsUser[];
    readonly maxPayload?: number;
    readonly tls?: NatsTls;
  } = {},
): Promise<Nats> {
  const server = new RunningNats(requireNats(), await freePort(), options);
  await server.start();
  return server;
}

class RunningNats implements Nats {
  readonly port: number;
  readonly #program: string;
  readonly #folder = mkdtempSync(join(tmpdir(), "isthmus-nats-"));
  readonly #file: string;
  #child: OwnedProcess | undefined;

  constructor(program: string, port: number, options: Options) {
    this.#program = program;
    this.port = port;
    this.#file = join(this.#folder, "nats.conf");
    for (const [name, pem] of Object.entries(options.tls ?? {}))
      writeFileSync(join(this.#folder, name), pem, { mode: 0o600 });
    writeFileSync(this.#file, configuration(options, this.#folder));
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  get output(): string {
    return this.#child?.output ?? "";
  }

  async start(): Promise<void> {
    const args = ["-a", "127.0.0.1", "-p", String(this.port), "-c", this.#file];
    // meanwhile someone's outgoing connection may have taken the port, for a while
    for (const end = Date.now() + 30_000; ; await sleep(200)) {
      const child = await OwnedProcess.start(`nats-server on port ${this.port}`, this.#program, args, {});
      this.#child = child;
      if (await answers(child, this.port)) return;
      await child.kill();
      if (Date.now() > end) {
        throw new Error(`nats-server did not start on port ${this.port}. It printed:\n${child.output}`);
      }
    }
  }

  async pause(): Promise<void> {
    await this.#child?.pause();
  }

  resume(): void {
    this.#child?.resume();
  }

  async kill(): Promise<void> {
    await this.#child?.kill();
  }

  async stop(): Promise<void> {
    await this.#child?.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

type Options = Parameters<typeof startNats>[0] & object;

function configuration({ token, users, maxPayload, tls }: Options, folder: string): string {
  const list = (subjects: readonly string[]): string =>
    `[${subjects.map((one) => JSON.stringify(one)).join(", ")}]`;
  const user = ({ user: name, password, publish, subscribe }: NatsUser): string =>
    `{ user: ${JSON.stringify(name)}, password: ${JSON.stringify(password)}, permissions: { ${[
      publish && `publish: ${list(publish)}`,
      subscribe && `subscribe: ${list(subscribe)}`,
    ]
      .filter(Boolean)
      .join(", ")} } }`;
  const file = (name: keyof NatsTls): string => `${name}_file: ${JSON.stringify(join(folder, name))}`;
  const verified = tls?.ca === undefined ? [] : [file("ca"), "verify: true"];
  return [
    ...(tls === undefined ? [] : [`tls: { ${[file("cert"), file("key"), ...verified].join(", ")} }`]),
    ...(maxPayload === undefined ? [] : [`max_payload: ${maxPayload}`]),
    ...(token === undefined ? [] : [`authorization: { token: ${JSON.stringify(token)} }`]),
    ...(users === undefined ? [] : [`authorization: { users: [\n${users.map(user).join(",\n")}\n] }`]),
    "",
  ].join("\n");
}

/** The path of nats-server. @throws if it is not installed */
export function requireNats(): string {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  const path = folders
    .map((folder) => join(folder, "nats-server"))
    .find((candidate) => {
      try {
        accessSync(candidate, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
  if (path === undefined) throw new Error("nats-server is not there: install the package nats-server");
  return path;
}

/** It says INFO to whoever connects, before anybody else on the port would know what that is. */
async function answers(child: OwnedProcess, port: number): Promise<boolean> {
  for (const end = Date.now() + 30_000; child.running && Date.now() < end; await sleep(10)) {
    if (await saysInfo(port)) return child.running;
  }
  return false;
}

function saysInfo(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.setTimeout(1000, () => socket.destroy());
    socket.once("data", (data) => {
      resolve(data.toString("latin1").startsWith("INFO "));
      socket.destroy();
    });
    socket.on("error", () => resolve(false));
    socket.once("close", () => resolve(false));
  });
}
