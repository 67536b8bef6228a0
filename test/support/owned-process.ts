import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { ENVIRONMENT, owned } from "./tidy.ts";

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const KEPT_OUTPUT = 1 << 20;
const GRACE_MS = 20_000;

/** A child process that is known by its pid and ends at the latest with the test file that started it. */
export class OwnedProcess {
  readonly pid: number;
  readonly title: string;
  /** Settles when the process has ended and its output was read. */
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  #output = "";

  /** @throws if the program cannot be started */
  static async start(
    title: string,
    command: string,
    args: readonly string[],
    environment: Readonly<Record<string, string>>,
  ): Promise<OwnedProcess> {
    const env = { ...ENVIRONMENT, ...environment };
    const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    await once(child, "spawn");
    return new OwnedProcess(title, child);
  }

  private constructor(title: string, child: ChildProcess) {
    this.title = title;
    this.pid = child.pid!;
    this.#child = child;
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => {
        this.#output = (this.#output + text).slice(-KEPT_OUTPUT);
      });
    }
    // a grandchild may hold the pipes open a little longer than the process lives
    const closed = once(child, "close");
    this.exited = once(child, "exit").then(async ([code, signal]: unknown[]) => {
      owned.delete(this);
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 500).unref())]);
      return { code, signal } as Exit;
    });
    owned.add(this);
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What it printed, both streams together; the last mebibyte of it. */
  get output(): string {
    return this.#output;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running) process.kill(this.pid, signal);
  }

  /** SIGSTOP, and waits until each of its threads has stopped: right after the signal some still run. */
  async pause(): Promise<void> {
    this.signal("SIGSTOP");
    while (this.running && !isStopped(this.pid)) await sleep(1);
  }

  resume(): void {
    this.signal("SIGCONT");
  }

  /** SIGTERM, then SIGKILL if that was not enough. Also ends a process that is stopped by SIGSTOP. */
  async stop(): Promise<Exit> {
    this.signal("SIGTERM");
    this.signal("SIGCONT");
    const timer = setTimeout(() => this.signal("SIGKILL"), GRACE_MS);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }

  kill(): Promise<Exit> {
    this.signal("SIGKILL");
    return this.exited;
  }
}

// the third field of a thread's stat, after its name in parentheses, is its state. Where there is no /proc we
// cannot know, and do not wait
function isStopped(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) => {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8");
      return stat.slice(stat.lastIndexOf(")")).startsWith(") T");
    });
  } catch {
    return true;
  }
}
