import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { OwnedProcess } from "./owned-process.ts";
import { type OtpRelease, requireOtp } from "./peers.ts";
import { ProbeChannel } from "./probe-channel.ts";

export interface BeamOptions {
  /** Full node name, such as "a1@127.0.0.1". */
  readonly name: string;
  readonly cookie: string;
  /** Port of the epmd, on loopback, that the node uses; it does not start one itself. */
  readonly epmdPort: number;
  /** Default: the Erlang/OTP in PATH. */
  readonly otp?: OtpRelease | undefined;
  /** `-hidden`. */
  readonly hidden?: boolean | undefined;
  /** `-sname` in place of `-name`. */
  readonly shortNames?: boolean | undefined;
  /** More arguments for `erl`, such as ["-kernel", "net_ticktime", "4"]. */
  readonly args?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Milliseconds that the start may take; default 45 000. */
  readonly startTimeoutMs?: number | undefined;
}

/** A real BEAM node, listening for distribution on loopback only. */
export interface Beam {
  readonly node: string;
  /** Its OTP release. */
  readonly release: number;
  readonly pid: number;
  readonly running: boolean;
  /** Everything it printed, up to a mebibyte. */
  readonly output: string;
  /** Settles when it has ended, however that came. */
  readonly exited: Promise<unknown>;
  /**
   * Evaluates Erlang expressions in one process of the node, the same for all calls, with bindings that stay.
   * Calls wait for each other. The mailbox belongs to the expressions.
   * @param expression "A = 1, B = A + 1"; the final dot may be left out
   * @returns the last value printed with ~0tp: one line
   * @throws EvaluationError with the reason; also when `timeoutMs` (default 30 000) is over, and then the process is
   *   replaced by a new one which has the bindings of before
   */
  eval(expression: string, options?: { readonly timeoutMs?: number | undefined }): Promise<string>;
  /** SIGSTOP: when this settles nothing is answered any more, though connections stay open, until `resume`. */
  pause(): Promise<void>;
  resume(): void;
  /** Ends it at once by its pid and waits for that; `eval("init:stop()")` is the orderly way. Any number of times. */
  stop(): Promise<void>;
  /** SIGKILL, and waits. */
  kill(): Promise<void>;
}

/** An expression had no value. */
export class EvaluationError extends Error {
  override readonly name = "EvaluationError";
  /** "class:reason" as in "error:{badmatch,2}", "syntax:...", "evaluator_died:reason", "timeout" or "nodedown". */
  readonly reason: string;

  constructor(node: string, expression: string, reason: string, details: string) {
    super(`${node}: ${reason}${details}\n  in: ${expression}`);
    this.reason = reason;
  }
}

/** Starts a node and waits until it can evaluate. @throws with its output if it does not come up */
export async function startBeam(options: BeamOptions): Promise<Beam> {
  const { erl, ebin, release } = requireOtp(options.otp);
  const channel = await ProbeChannel.listen();
  try {
    const env = { ...environment(options), ISTHMUS_PROBE: channel.address, ...options.env };
    const child = await OwnedProcess.start(`node ${options.name}`, erl, commandLine(options, ebin), env);
    child.exited.finally(() => channel.close());
    await started(options, child, channel);
    return new RunningBeam(options.name, release, child, channel);
  } catch (error) {
    channel.close();
    throw error;
  }
}

function commandLine(options: BeamOptions, ebin: string): string[] {
  return [
    "-noinput",
    ...[options.shortNames ? "-sname" : "-name", options.name],
    ...["-setcookie", options.cookie],
    ...["-kernel", "inet_dist_use_interface", "{127,0,0,1}"],
    ...["-start_epmd", "false"],
    // many nodes share few cores: schedulers do not spin while they wait
    ...["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", "+pc", "unicode"],
    ...(options.hidden ? ["-hidden"] : []),
    ...["-pa", ebin, "-s", "isthmus_probe"],
    ...(options.args ?? []),
  ];
}

function environment(options: BeamOptions): Record<string, string> {
  // a home without anyone's .erlang and .erlang.cookie
  const home = fileURLToPath(new URL("../../.test-cache/home", import.meta.url));
  mkdirSync(home, { recursive: true });
  return {
    HOME: home,
    LC_ALL: "C.UTF-8",
    ERL_EPMD_PORT: String(options.epmdPort),
    ERL_EPMD_ADDRESS: "127.0.0.1",
    ERL_CRASH_DUMP_SECONDS: "0",
  };
}

async function started(options: BeamOptions, child: OwnedProcess, channel: ProbeChannel): Promise<void> {
  const timeoutMs = options.startTimeoutMs ?? 45_000;
  const outcome = await within(
    timeoutMs,
    channel.connected.then(() => "up" as const),
    child.exited.then(({ code, signal }) => `ended with ${signal ?? `status ${code}`}` as const),
  );
  if (outcome === "up") return;
  await child.kill();
  const what = outcome === "late" ? `was not up after ${timeoutMs} ms` : outcome;
  throw new Error(`Node ${options.name} ${what}. It printed:\n${child.output}`);
}

async function within<T>(ms: number, ...promises: Promise<T>[]): Promise<T | "late"> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(resolve, ms, "late");
  });
  try {
    return await Promise.race([...promises, late]);
  } finally {
    clearTimeout(timer);
  }
}

class RunningBeam implements Beam {
  readonly node: string;
  readonly release: number;
  readonly #child: OwnedProcess;
  readonly #channel: ProbeChannel;
  #lastEval: Promise<unknown> = Promise.resolve();

  constructor(node: string, release: number, child: OwnedProcess, channel: ProbeChannel) {
    this.node = node;
    this.release = release;
    this.#child = child;
    this.#channel = channel;
  }

  get pid(): number {
    return this.#child.pid;
  }
  get running(): boolean {
    return this.#child.running;
  }
  get output(): string {
    return this.#child.output;
  }
  get exited(): Promise<unknown> {
    return this.#child.exited;
  }

  eval(
    expression: string,
    { timeoutMs = 30_000 }: { readonly timeoutMs?: number | undefined } = {},
  ): Promise<string> {
    const result = this.#lastEval.then(() => this.#evaluate(expression, timeoutMs));
    this.#lastEval = result.catch(() => {});
    return result;
  }

  pause(): Promise<void> {
    return this.#child.pause();
  }

  resume(): void {
    this.#child.resume();
  }

  async stop(): Promise<void> {
    await this.#child.stop();
  }

  async kill(): Promise<void> {
    await this.#child.kill();
  }

  async #evaluate(expression: string, timeoutMs: number): Promise<string> {
    const { outcome, giveUp } = this.#channel.evaluate(expression);
    const settled = await within(
      timeoutMs,
      outcome,
      this.#channel.closed.then(() => "closed" as const),
    );
    if (settled === "closed") {
      throw new EvaluationError(
        this.node,
        expression,
        "nodedown",
        ` (the node has ended)${this.#recentOutput()}`,
      );
    }
    if (settled === "late") {
      giveUp();
      throw new EvaluationError(
        this.node,
        expression,
        "timeout",
        ` after ${timeoutMs} ms${this.#recentOutput()}`,
      );
    }
    if ("value" in settled) return settled.value;
    throw new EvaluationError(this.node, expression, settled.reason, settled.where && ` in ${settled.where}`);
  }

  #recentOutput(): string {
    const text = this.output.slice(-2000).trimEnd();
    return text === "" ? "; it printed nothing" : `; the last that it printed:\n${text}\n`;
  }
}
