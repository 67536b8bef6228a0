import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** One installed Erlang/OTP. */
export interface Otp {
  /** Major release, as the node itself says it. */
  readonly release: number;
  readonly erl: string;
}

/** The one in PATH and those that ISTHMUS_OTP_23, ISTHMUS_OTP_27, ISTHMUS_OTP_29 name. */
export function installedOtps(): Otp[] {
  const found = [otp("erl", "PATH")];
  for (const variable of ["ISTHMUS_OTP_23", "ISTHMUS_OTP_27", "ISTHMUS_OTP_29"]) {
    const folder = process.env[variable];
    if (folder !== undefined && folder !== "") found.push(otp(join(folder, "bin", "erl"), variable));
  }
  return found;
}

function otp(erl: string, where: string): Otp {
  const script = "io:put_chars(erlang:system_info(otp_release)), halt().";
  const { stdout, error } = spawnSync(erl, ["-noshell", "-eval", script], { encoding: "utf8" });
  const release = Number(stdout);
  if (!(release > 20)) {
    throw new Error(`These tests need Erlang/OTP, but ${erl} (${where}) does not work: ${error ?? stdout}`);
  }
  return { release, erl };
}

/** A port that nobody listens on at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  server.close();
  await once(server, "close");
  return port;
}

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The server does not listen.");
  return address.port;
}

/** An epmd of our own, on loopback and a free port. */
export class Epmd {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#process = child;
  }

  static async start(): Promise<Epmd> {
    const port = await freePort();
    const child = spawn("epmd", ["-port", String(port), "-address", "127.0.0.1"], { stdio: "ignore" });
    child.on("error", () => undefined);
    for (let attempt = 0; ; attempt++) {
      const socket = await tcp(port).catch(() => undefined);
      socket?.destroy();
      if (socket !== undefined) return new Epmd(port, child);
      if (attempt > 600 || child.exitCode !== null)
        throw new Error("These tests need epmd, which did not start.");
      await delay(50);
    }
  }

  /** Port of a node, by PORT2. */
  async lookup(name: string): Promise<number> {
    const socket = await tcp(this.port);
    const request = Buffer.from(`\0\0z${name}`, "latin1");
    request.writeUInt16BE(request.length - 2);
    socket.write(request);
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    const answer = Buffer.concat(chunks);
    if (answer[1] !== 0) throw new Error(`epmd does not know ${name}.`);
    return answer.readUInt16BE(2);
  }

  /** Announces a node by ALIVE2 until the socket, which is returned, is destroyed. */
  async register(name: string, port: number, highVersion = 6): Promise<Socket> {
    const socket = await tcp(this.port);
    const request = Buffer.alloc(17 + name.length);
    request.writeUInt16BE(request.length - 2, 0);
    request.writeUInt8(120, 2);
    request.writeUInt16BE(port, 3);
    request.writeUInt8(77, 5);
    request.writeUInt8(0, 6);
    request.writeUInt16BE(highVersion, 7);
    request.writeUInt16BE(5, 9);
    request.writeUInt16BE(name.length, 11);
    request.write(name, 13, "latin1");
    socket.write(request);
    const [answer] = (await once(socket, "data")) as [Buffer];
    if (answer[1] !== 0) throw new Error(`epmd refused the name ${name}.`);
    return socket;
  }

  async stop(): Promise<void> {
    await end(this.#process);
  }
}

/** What a {@link Beam} is started with. */
export interface BeamOptions {
  readonly otp: Otp;
  readonly epmd: Epmd;
  /** Full name on 127.0.0.1 or localhost; `undefined@127.0.0.1` for one that asks for its name. */
  readonly name: string;
  /** Given on the command line; without it there must be a `cookieFile`. */
  readonly cookie?: string;
  /** Content of `.erlang.cookie` in its home folder. */
  readonly cookieFile?: string;
  readonly args?: readonly string[];
}

// Reads expressions, one a line, and prints what each gives.
const SHELL = `
spawn(fun() ->
  io:setopts([{encoding, unicode}]),
  (fun Loop() ->
    case io:get_line("") of
      Line when is_list(Line) ->
        Result = try
          {ok, Tokens, _} = erl_scan:string(Line),
          {ok, Expressions} = erl_parse:parse_exprs(Tokens),
          {value, Value, _} = erl_eval:exprs(Expressions, []),
          Value
        catch Class:Reason -> {Class, Reason} end,
        io:format("~n=> ~0tp~n", [Result]),
        Loop();
      _ -> halt()
    end
  end)()
end).`;

/** A real Erlang node. It ends with us, since its standard input does. */
export class Beam {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #home: string;
  #output = "";
  #waiting: ((line: string) => void)[] = [];

  private constructor(name: string, child: ChildProcess, home: string) {
    this.name = name;
    this.#process = child;
    this.#home = home;
    let line = "";
    child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.#output += text;
      line += text;
      const lines = line.split("\n");
      line = lines.pop()!;
      for (const one of lines) if (one.startsWith("=> ")) this.#waiting.shift()?.(one.slice(3));
    });
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#output += text;
    });
    child.on("exit", () => {
      for (const give of this.#waiting.splice(0)) give("exited");
    });
  }

  static async start({ otp, epmd, name, cookie, cookieFile, args = [] }: BeamOptions): Promise<Beam> {
    const home = mkdtempSync(join(tmpdir(), "isthmus-beam-"));
    if (cookieFile !== undefined) writeFileSync(join(home, ".erlang.cookie"), cookieFile, { mode: 0o400 });
    const child = spawn(
      otp.erl,
      [
        ...["-noshell", name.includes(".") ? "-name" : "-sname", name, "-start_epmd", "false"],
        ...(cookie === undefined ? [] : ["-setcookie", cookie]),
        ...["-kernel", "inet_dist_use_interface", "{127,0,0,1}", ...args, "-eval", SHELL],
      ],
      { env: { ...process.env, HOME: home, ERL_EPMD_PORT: String(epmd.port) }, stdio: "pipe" },
    );
    child.on("error", () => undefined);
    child.stdin.on("error", () => undefined);
    const beam = new Beam(name, child, home);
    const said = await beam.eval("ready.");
    if (said !== "ready") throw new Error(`The node ${name} did not start: ${beam.output}`);
    return beam;
  }

  /** What it wrote, log included. */
  get output(): string {
    return this.#output;
  }

  /** Evaluates Erlang expressions, which end with a full stop; gives the value as printed. */
  eval(expressions: string): Promise<string> {
    return new Promise((resolve) => {
      if (this.#process.exitCode !== null) {
        resolve("exited");
        return;
      }
      this.#waiting.push(resolve);
      this.#process.stdin!.write(`${expressions}\n`);
    });
  }

  /** Waits until the expressions give `value`. */
  async until(expressions: string, value: string): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const found = await this.eval(expressions);
      if (found === value) return;
      if (attempt === 1200) throw new Error(`${expressions} still gives ${found}, not ${value}.`);
      await delay(25);
    }
  }

  async stop(): Promise<void> {
    await end(this.#process);
    rmSync(this.#home, { recursive: true, force: true });
  }
}

/** A TCP connection to loopback. */
export function tcp(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.removeListener("error", reject);
      socket.on("error", () => undefined);
      resolve(socket);
    });
  });
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}
