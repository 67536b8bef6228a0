import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "./two-clusters.ts";

/** The command as a user runs it: built. */
export const command = fileURLToPath(new URL("../../packages/bridge/bin/isthmus.js", import.meta.url));

/** A process of Node.js that a test has started. */
export interface Started {
  readonly pid: number;
  /** Everything that it has printed so far. */
  readonly output: string;
  readonly ended: Promise<number | NodeJS.Signals | null>;
  signal(signal: NodeJS.Signals): void;
  /** Ends it at once if it runs, and waits for that. */
  kill(): Promise<void>;
}

/** Runs a program with Node.js. */
export function start(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
): Started {
  const child = spawn(process.execPath, [...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.once("exit", (status, signal) => resolve(status ?? signal)),
  );
  return {
    pid: child.pid!,
    get output() {
      return output;
    },
    ended,
    signal: (signal) => void child.kill(signal),
    async kill() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await ended;
    },
  };
}

/** `isthmus run` with a configuration that has `admin: { listen: { port: 0 } }` in it. */
export interface RunningBridge extends Started {
  /** Address of its administration. */
  readonly url: string;
  /** What is at a path of it. */
  get(path: string): Promise<{ readonly status: number; readonly text: string }>;
  /** The value of a metric with its labels, as it is written. */
  metric(name: string): Promise<number | undefined>;
  /** Waits until it is ready. */
  ready(): Promise<void>;
}

/** A folder for configurations, and what runs by them. */
export class BridgeCommands {
  readonly folder = mkdtempSync(join(tmpdir(), "isthmus-bridges-"));
  readonly #started: Started[] = [];

  /** Writes a file that only its owner may read. */
  write(name: string, text: string): string {
    const file = join(this.folder, name);
    writeFileSync(file, text);
    chmodSync(file, 0o600);
    return file;
  }

  /** Starts `isthmus run`, and waits for its administration. */
  async run(name: string, text: string, env: Readonly<Record<string, string>> = {}): Promise<RunningBridge> {
    return this.runFile(this.write(name, text), env);
  }

  /** The same for a file that is there. */
  async runFile(file: string, env: Readonly<Record<string, string>> = {}): Promise<RunningBridge> {
    const name = basename(file);
    const started = start([command, "run", file, "--log-format", "json"], env);
    this.#started.push(started);
    const port = (): string | undefined =>
      /"port":(\d+),"msg":"administration listens"/.exec(started.output)?.[1];
    let over = false;
    void started.ended.then(() => {
      over = true;
    });
    await until(() => over || port() !== undefined, `${name} serves its state`);
    if (port() === undefined) throw new Error(`${name} has ended: ${started.output}`);
    const url = `http://127.0.0.1:${port()}`;
    const get = async (path: string) => {
      const response = await fetch(`${url}${path}`);
      return { status: response.status, text: await response.text() };
    };
    return {
      ...started,
      get output() {
        return started.output;
      },
      url,
      get,
      async metric(wanted) {
        const line = (await get("/metrics")).text.split("\n").find((one) => one.startsWith(`${wanted} `));
        return line === undefined ? undefined : Number(line.slice(wanted.length + 1));
      },
      async ready() {
        await until(async () => (await get("/readyz")).status === 200, `${name} is ready`).catch(
          async (error: unknown) => {
            throw new Error(`${String(error)}: ${(await get("/readyz")).text}${started.output}`);
          },
        );
      },
    };
  }

  /** Ends at once what runs. */
  async kill(): Promise<void> {
    for (const started of this.#started.splice(0)) await started.kill();
  }

  /** Ends what runs, and removes the folder. */
  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
