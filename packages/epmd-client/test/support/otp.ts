import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort, RawPeer } from "./tcp.ts";

/** One installed Erlang/OTP. */
export interface Otp {
  readonly release: number;
  /** Path of one of its programs. */
  program(name: "erl" | "epmd" | "erl_call"): string;
}

/** The one in PATH and those that ISTHMUS_OTP_23, ISTHMUS_OTP_27, ISTHMUS_OTP_29 name. */
export function installedOtps(): Otp[] {
  const found = [otp((name) => name, "PATH")];
  for (const variable of ["ISTHMUS_OTP_23", "ISTHMUS_OTP_27", "ISTHMUS_OTP_29"]) {
    const folder = process.env[variable];
    if (folder) found.push(otp((name) => join(folder, "bin", name), variable));
  }
  return found;
}

function otp(program: Otp["program"], where: string): Otp {
  const script = "io:put_chars(erlang:system_info(otp_release)), halt().";
  const { stdout, error } = spawnSync(program("erl"), ["-noshell", "-eval", script], { encoding: "utf8" });
  const release = Number(stdout);
  if (!(release > 20)) {
    throw new Error(`These tests need Erlang/OTP, but erl from ${where} does not work: ${error ?? stdout}`);
  }
  return { release, program };
}

/** Waits until `check` gives something; fails with what `why` says when it never does. */
export async function eventually<T>(
  check: () => Promise<T | undefined> | T | undefined,
  why: () => string,
): Promise<T> {
  for (let attempt = 0; attempt < 1200; attempt++) {
    const got = await check();
    if (got !== undefined) return got;
    await delay(50);
  }
  throw new Error(why());
}

/** A real epmd on loopback. */
export class RealEpmd {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#process = child;
  }

  static async start(of: Otp, options: { port?: number; relaxed?: boolean } = {}): Promise<RealEpmd> {
    const port = options.port ?? (await freePort());
    const args = ["-port", String(port), "-address", "127.0.0.1"];
    if (options.relaxed) args.push("-relaxed_command_check");
    const child = spawn(of.program("epmd"), args, { stdio: "ignore", env: cleanEnvironment() });
    child.on("error", () => undefined);
    const epmd = new RealEpmd(port, child);
    await eventually(
      async () => {
        if (child.exitCode !== null)
          throw new Error(`epmd of OTP ${of.release} ended with ${child.exitCode}.`);
        const peer = await RawPeer.connect(port).catch(() => undefined);
        await peer?.close();
        return peer;
      },
      () => `epmd of OTP ${of.release} does not listen on port ${port}.`,
    );
    return epmd;
  }

  /** Whether it has ended by itself. */
  async ended(): Promise<number | null> {
    if (this.#process.exitCode === null && this.#process.signalCode === null)
      await once(this.#process, "exit");
    return this.#process.exitCode;
  }

  async stop(): Promise<void> {
    await end(this.#process);
  }
}

/** Runs a program of an OTP against an epmd and gives what it prints. */
export async function run(
  of: Otp,
  name: "erl" | "epmd" | "erl_call",
  args: readonly string[],
  epmdPort: number,
): Promise<{ readonly status: number | null; readonly output: string }> {
  const home = mkdtempSync(join(tmpdir(), "isthmus-epmd-"));
  const child = spawn(of.program(name), args, {
    env: { ...cleanEnvironment(), HOME: home, ERL_EPMD_PORT: String(epmdPort) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const collect = (text: Buffer): void => {
    output += text.toString("utf8");
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  const failed = once(child, "error").then(([error]) => Promise.reject(error));
  try {
    await Promise.race([once(child, "close"), failed]);
  } finally {
    failed.catch(() => undefined);
    rmSync(home, { recursive: true, force: true });
  }
  return { status: child.exitCode, output };
}

const COOKIE = "epmd_tests";

// Answers each line of standard input, an Erlang expression, with its value.
const LOOP = `(fun Loop() -> case io:get_line("") of
  Line when is_list(Line) ->
    {ok, Tokens, _} = erl_scan:string(Line), {ok, Forms} = erl_parse:parse_exprs(Tokens),
    Value = try {value, V, _} = erl_eval:exprs(Forms, []), V catch C:R -> {C, R} end,
    io:format("~n=> ~0tp~n", [Value]), Loop();
  _ -> halt() end end)().`;

/** A real Erlang node that registers with the epmd on `epmdPort`. It ends with the test, as its input does. */
export class RealNode {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #home: string;
  #output = "";
  #answers = 0;

  private constructor(name: string, child: ChildProcess, home: string) {
    this.name = name;
    this.#process = child;
    this.#home = home;
    const collect = (text: Buffer): void => {
      this.#output += text.toString("utf8");
    };
    child.stdout!.on("data", collect);
    child.stderr!.on("data", collect);
    child.stdin!.on("error", () => undefined);
    child.on("error", () => undefined);
  }

  static async start(
    of: Otp,
    name: string,
    epmdPort: number,
    args: readonly string[] = [],
  ): Promise<RealNode> {
    const home = mkdtempSync(join(tmpdir(), "isthmus-epmd-"));
    const child = spawn(
      of.program("erl"),
      [
        ...["-noshell", "-name", name, "-setcookie", COOKIE, "-start_epmd", "false"],
        ...[
          "-kernel",
          "inet_dist_use_interface",
          name.endsWith("@::1") ? "{0,0,0,0,0,0,0,1}" : "{127,0,0,1}",
        ],
        ...args,
        ...["-eval", `spawn(fun() -> ${LOOP.slice(0, -1)} end).`],
      ],
      { env: { ...cleanEnvironment(), HOME: home, ERL_EPMD_PORT: String(epmdPort) }, stdio: "pipe" },
    );
    const node = new RealNode(name, child, home);
    try {
      await node.eval("node().");
      return node;
    } catch (error) {
      await node.stop();
      throw error;
    }
  }

  get output(): string {
    return this.#output;
  }

  /** The value of Erlang expressions in one line, as Erlang prints it. */
  async eval(expressions: string): Promise<string> {
    const wanted = this.#answers++;
    this.#process.stdin!.write(`${expressions}\n`);
    return await eventually(
      () => {
        if (this.#process.exitCode !== null) throw new Error(`The node ${this.name} ended: ${this.#output}`);
        const answers = [...this.#output.matchAll(/^=> (.*)\n/gm)];
        return answers[wanted]?.[1];
      },
      () => `The node ${this.name} does not answer ${expressions}: ${this.#output}`,
    );
  }

  async stop(): Promise<void> {
    await end(this.#process);
    rmSync(this.#home, { recursive: true, force: true });
  }
}

/** What `erl_call` needs to reach a {@link RealNode}. */
export const erlCallCookie: readonly string[] = ["-c", COOKIE];

/** Ours, without what would send programs to another epmd or change their arguments. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(ERL|EPMD)_/.test(name)));
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}
