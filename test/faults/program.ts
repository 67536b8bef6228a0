import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { until } from "../e2e/two-clusters.ts";
import type { NetworkHost } from "../support/network-namespaces.ts";
import type { OwnedProcess } from "../support/owned-process.ts";

const command = fileURLToPath(new URL("../../packages/bridge/bin/isthmus.js", import.meta.url));

/** What is run, and when it is up. */
export interface ProgramOptions {
  readonly title: string;
  readonly host: NetworkHost;
  readonly command: string;
  readonly args: readonly string[];
  /** What it prints when it is up. */
  readonly up: string;
}

/** A program on a host of a network, which can be ended and started again. */
export class Program {
  readonly title: string;
  readonly host: NetworkHost;
  readonly #options: ProgramOptions;
  #process: OwnedProcess | undefined;

  constructor(options: ProgramOptions) {
    this.#options = options;
    this.title = options.title;
    this.host = options.host;
  }

  /** What it has printed in this life. */
  get output(): string {
    return this.#process?.output ?? "";
  }

  /** Bytes of memory. */
  get memory(): number {
    const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#process!.pid}/status`, "utf8"))!;
    return Number(kib) * 1024;
  }

  /** Starts it, and waits until it is up. */
  async start(): Promise<void> {
    const { title, host, command: program, args, up } = this.#options;
    const child = await host.start(title, program, args, {});
    this.#process = child;
    await until(() => !child.running || child.output.includes(up), `${title} is up`);
    if (!child.running) throw new Error(`${title} has ended. It printed:\n${child.output}`);
  }

  /** How often it has printed a text in this life. */
  printed(text: string): number {
    return this.output.split(text).length - 1;
  }

  signal(signal: NodeJS.Signals): void {
    this.#process!.signal(signal);
  }

  /** SIGSTOP: its connections stay open, and nothing is answered until `resume`. */
  async pause(): Promise<void> {
    await this.#process!.pause();
  }

  resume(): void {
    this.#process!.resume();
  }

  /** SIGTERM. */
  async stop(): Promise<void> {
    await this.#process!.stop();
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.#process!.kill();
  }
}

/** `isthmus run`, built, as a user runs it. */
export class BridgeProgram extends Program {
  readonly #file: string;

  /** @param configuration lines of YAML, which are written to `file` */
  constructor(title: string, host: NetworkHost, file: string, configuration: readonly string[]) {
    const args = [command, "run", "--log-format", "json", file];
    super({ title, host, command: process.execPath, args, up: "isthmus is up" });
    this.#file = file;
    this.#write(configuration);
  }

  /** Lets it take over another configuration. */
  async reload(configuration: readonly string[]): Promise<void> {
    const taken = "the configuration is taken over";
    const before = this.printed(taken);
    this.#write(configuration);
    this.signal("SIGHUP");
    await until(() => this.printed(taken) > before, `${this.title} has read its configuration again`);
  }

  #write(configuration: readonly string[]): void {
    writeFileSync(this.#file, `${configuration.join("\n")}\n`, { mode: 0o600 });
  }
}
