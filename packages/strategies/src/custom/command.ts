import { type ChildProcess, spawn } from "node:child_process";
import { strategiesError } from "../errors.ts";

/** A command that prints names. */
export interface Command {
  /** Program and arguments; for a shell one text. */
  readonly argv: readonly string[];
  /** Whether `/bin/sh` reads the one text. */
  readonly shell: boolean;
  /** More output is an error. Bytes. */
  readonly maxBytes: number;
}

const KEPT_COMPLAINT = 500;

/**
 * Runs a command to its end, and gives what it printed. It and what it started (its process group) are killed when
 * `signal` is aborted or it prints too much.
 * @throws IsthmusError `DISCOVERY_FAILED` when it cannot be started, ends with another status than 0 or prints too
 * much; the signal's reason
 */
export async function runCommand(command: Command, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const { argv, shell, maxBytes } = command;
  const [program, ...args] = shell ? ["/bin/sh", "-c", ...argv] : argv;
  const child = spawn(program!, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
  const chunks: Buffer[] = [];
  let length = 0;
  let complaint = "";
  let problem: string | undefined;
  const abort = (): void => killGroup(child);
  signal.addEventListener("abort", abort, { once: true });
  child.stdout.on("data", (chunk: Buffer) => {
    length += chunk.length;
    if (length <= maxBytes) chunks.push(chunk);
    else if (problem === undefined) {
      problem = `printed more than ${maxBytes} bytes`;
      killGroup(child);
    }
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-KEPT_COMPLAINT);
  });
  try {
    const [status, deadly] = await ended(child);
    signal.throwIfAborted();
    if (problem === undefined && status !== 0) problem = `ended with ${deadly ?? `status ${status}`}`;
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    throw failed(program!, `cannot be started (${(cause as NodeJS.ErrnoException).code})`, "", cause);
  } finally {
    signal.removeEventListener("abort", abort);
  }
  if (problem !== undefined) throw failed(program!, problem, complaint);
  return Buffer.concat(chunks, length).toString("utf8");
}

/** When the process has ended and its output was read. */
function ended(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  return new Promise((resolve, reject) => {
    child.once("error", reject).once("close", (status, signal) => resolve([status, signal]));
  });
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    // it has ended already
  }
  // what left the group would hold them open
  child.stdout?.destroy();
  child.stderr?.destroy();
}

/** The arguments are not told: a token may be among them. What the command says itself is. */
function failed(program: string, what: string, complaint: string, cause?: unknown): Error {
  const said = complaint.trim();
  const message = `The command ${program} ${what}.${said === "" ? "" : ` It said: ${said}`}`;
  return strategiesError("DISCOVERY_FAILED", message, { cause, context: { program } });
}
