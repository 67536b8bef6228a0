import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import type { Readable, Writable } from "node:stream";
import { FrameSplitter } from "@isthmus/wire";

/**
 * What the BEAM does with each packet, `{Command, Binary}` in external form:
 * `again` decodes the binary, encodes it and answers; `eval` makes terms of Erlang source; `sort` sorts a list;
 * `compare` compares the halves of pairs.
 */
const SERVER = `
Order = fun(A, B) -> if A < B -> -1; A > B -> 1; A =:= B -> 0; true -> equal end end,
Loop = fun Loop() ->
  receive
    {Port, {data, <<Command, Bytes/binary>>}} ->
      Reply = try
        case Command of
          0 -> Term = binary_to_term(Bytes), [0, term_to_binary(Term)];
          1 -> [0, term_to_binary([Order(A, B) || {A, B} <- binary_to_term(Bytes)])];
          2 ->
            {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Bytes)),
            {ok, Expressions} = erl_parse:parse_exprs(Tokens),
            {value, Value, _} = erl_eval:exprs(Expressions, []),
            [0, term_to_binary(Value, [{minor_version, 2}])];
          3 -> [0, term_to_binary([try binary_to_term(B) of _ -> true catch error:badarg -> false end || B <- binary_to_term(Bytes)])];
          4 -> [0, unicode:characters_to_binary(erlang:system_info(otp_release))]
        end
      catch Class:Reason -> [1, unicode:characters_to_binary(io_lib:format("~0tp:~0tP", [Class, Reason, 20]))] end,
      port_command(Port, Reply),
      Loop();
    {'EXIT', Port, _} -> halt();
    {Port, eof} -> halt()
  end
end,
Loop().
`;

/** A BEAM that decodes, encodes and compares for the tests, over its standard input and output. */
export class Beam {
  readonly #process: ChildProcess;
  readonly #input: Writable;
  readonly #waiting: { resolve: (bytes: Buffer) => void; reject: (error: Error) => void }[] = [];
  #said = "";

  private constructor(erl: string) {
    const source = `Port = open_port({fd, 3, 4}, [{packet, 4}, binary, eof]), ${SERVER}`;
    // not over standard output: that is where the BEAM prints what goes wrong
    this.#process = spawn(erl, ["-noinput", "+sbwt", "none", "-eval", source.replaceAll(/\s+/g, " ")], {
      stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
    });
    this.#input = this.#process.stdio[3] as Writable;
    const splitter = new FrameSplitter({
      lengthBytes: 4,
      maxFrameBytes: 1 << 28,
      onFrame: (bytes, start, end) => this.#answer(bytes.subarray(start, end)),
    });
    (this.#process.stdio[4] as Readable).on("data", (chunk: Buffer) => splitter.push(chunk));
    for (const said of [this.#process.stdout, this.#process.stderr]) {
      said?.on("data", (chunk: Buffer) => {
        this.#said += chunk.toString();
      });
    }
    // a BEAM that is gone is reported by its exit
    this.#input.on("error", () => {});
    this.#process.once("error", (error) => this.#fail(error));
    this.#process.once("exit", () => this.#fail(new Error(`erl ended early: ${this.#said}`)));
  }

  /** @param release 0 for the `erl` in PATH; otherwise the folder is taken from ISTHMUS_OTP_<release> */
  static async start(release: number): Promise<Beam> {
    const folder = process.env[`ISTHMUS_OTP_${release}`];
    if (release !== 0 && folder === undefined)
      throw new Error(`Set ISTHMUS_OTP_${release} to the folder with bin/erl.`);
    const erl = folder === undefined ? "erl" : path.join(folder, "bin", "erl");
    if (folder !== undefined && !existsSync(erl)) throw new Error(`There is no ${erl}.`);
    const beam = new Beam(erl);
    try {
      await beam.release();
    } catch (cause) {
      throw new Error("These tests need Erlang: put erl into PATH.", { cause });
    }
    return beam;
  }

  /** The bytes of the same term as the BEAM writes them. */
  again(bytes: Buffer): Promise<Buffer> {
    return this.#ask(0, bytes);
  }

  /** For each pair: -1, 1, 0 (`=:=`) or `equal` (`==` only), encoded. */
  compare(pairs: Buffer): Promise<Buffer> {
    return this.#ask(1, pairs);
  }

  /** The term that Erlang source evaluates to, encoded. */
  evaluate(source: string): Promise<Buffer> {
    return this.#ask(2, Buffer.from(source, "utf8"));
  }

  /** For each binary of a list: whether binary_to_term takes it, encoded. */
  takes(binaries: Buffer): Promise<Buffer> {
    return this.#ask(3, binaries);
  }

  async release(): Promise<number> {
    return Number((await this.#ask(4, Buffer.alloc(0))).toString());
  }

  async stop(): Promise<void> {
    this.#process.removeAllListeners("exit");
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#input.end();
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), 5_000);
    await ended;
    clearTimeout(timer);
  }

  #ask(command: number, bytes: Buffer): Promise<Buffer> {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(bytes.length + 1);
    head[4] = command;
    this.#input.write(Buffer.concat([head, bytes]));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  #answer(bytes: Buffer): void {
    const waiting = this.#waiting.shift();
    if (bytes[0] === 0) waiting?.resolve(bytes.subarray(1));
    else waiting?.reject(new Error(`the BEAM says: ${bytes.toString("utf8", 1)}`));
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
