import type { Atom, Pid, Term } from "@isthmus/etf";
import { RemoteCalls } from "../calls/erpc.ts";
import { Exposed, type ExposedFunction } from "../calls/exposed.ts";
import { type CallOptions, genCall, genCast } from "../calls/gen-call.ts";
import { EventManagers } from "../calls/gen-event.ts";
import { IncomingSpawn } from "../calls/incoming-spawn.ts";
import { type IoServerOptions, type IoSink, serveIo } from "../calls/io-server.ts";
import { startLoggerProxy, startNetKernel } from "../calls/net-kernel.ts";
import { type RemoteProcess, type RemoteSpawnOptions, spawnOn } from "../calls/remote-spawn.ts";
import { startRex } from "../calls/rex.ts";
import { type ServerHandlers, type ServerOptions, serve } from "../calls/server.ts";
import { SystemCalls } from "../calls/sys.ts";
import type { Signal } from "../channel/signal.ts";
import { coreError } from "../errors.ts";
import type { Connection } from "../net/connection.ts";
import { type Address, type ProcessAddress, toAtom } from "./address.ts";
import type { ProcessContext } from "./context.ts";
import { LocalProcess } from "./local-process.ts";
import type { Process, SpawnOptions } from "./process.ts";
import { DEFAULT_PROCESS_LIMITS, type ProcessLimits, Runtime } from "./runtime.ts";

/** Options of {@link ProcessTable}. */
export interface ProcessTableOptions extends Partial<ProcessLimits> {
  /**
   * Where text goes that functions on other nodes print when we call them.
   * @default the logger, level info
   */
  readonly io?: IoSink;
}

/** Options of {@link ProcessTable.call}. */
export interface TableCallOptions extends CallOptions {
  /** The process in whose name the call is made: its messages to the same process arrive in order. @default a hidden one */
  readonly as?: Process;
}

/**
 * The processes of a node: those that a program spawns, with names, links, monitors and aliases, and what OTP has on
 * top of them: calls, servers, rpc, io. Registered from the start are `net_kernel` (so that `net_adm:ping` works),
 * `rex` and `logger_proxy`.
 *
 * Other nodes can send to, link to and monitor every process, as in any cluster, but run only what was given to
 * {@link ProcessTable.expose}.
 */
export class ProcessTable {
  /** `erpc` and `rpc`: functions on other nodes. */
  readonly erpc: RemoteCalls;
  /** `gen_event`: events and questions to event managers. */
  readonly events: EventManagers;
  /** `sys`: state and status of OTP processes. */
  readonly sys: SystemCalls;
  readonly #runtime: Runtime;
  readonly #exposed = new Exposed();
  readonly #io: IoSink;
  #caller: LocalProcess | undefined;
  #ioServer: LocalProcess | undefined;

  constructor(context: ProcessContext, options: ProcessTableOptions = {}) {
    const { io, ...limits } = options;
    this.#io = io ?? { write: (text) => context.logger.info({ text }, "output of a remote function") };
    const runtime = new Runtime(context, { ...DEFAULT_PROCESS_LIMITS, ...limits });
    this.#runtime = runtime;
    this.erpc = new RemoteCalls(runtime, () => this.#defaultCaller());
    this.events = new EventManagers(context.self, this);
    this.sys = new SystemCalls(runtime, () => this.#defaultCaller());
    const spawns = new IncomingSpawn(runtime, this.#exposed);
    runtime.onSpawnRequest = (request) => spawns.handle(request);
    runtime.groupLeader = () => this.groupLeader;
    startNetKernel(runtime);
    startRex(runtime, this.#exposed);
    startLoggerProxy(runtime);
  }

  /** The group leader of processes that were given none; it writes to {@link ProcessTableOptions.io}. */
  get groupLeader(): Pid {
    this.#ioServer ??= serveIo(this.#runtime, this.#io);
    return this.#ioServer.pid;
  }

  /** Living processes, the built-in ones included. */
  get size(): number {
    return this.#runtime.registry.size;
  }

  /**
   * A signal that came for one of our processes. It is decoded and carried out before this returns.
   * @throws IsthmusError when it violates the protocol and the connection is to be closed: `CONTROL_MALFORMED`,
   * `RELATION_LIMIT`, a code of `@isthmus/etf`
   */
  signal(connection: Connection, signal: Signal): void {
    this.#runtime.signal(connection, signal);
  }

  /**
   * The connection with `node` is gone: `noconnection` for every link, monitor, call and spawn with it, then
   * `nodedown` for those who watch it.
   */
  connectionLost(node: Atom): void {
    this.#runtime.connectionLost(node);
  }

  /**
   * Starts a process: with {@link SpawnOptions.onMessage} one that handles each message as it comes, otherwise one with
   * a mailbox to {@link Process.receive} from.
   * @throws IsthmusError `NODE_CLOSED`, `PROCESS_LIMIT`, `NAME_TAKEN`, `OPTION_INVALID`
   */
  spawn(options: SpawnOptions = {}): Process {
    return this.#runtime.spawn(options);
  }

  /**
   * Spawns a process on another node, `erlang:spawn_request/5`; `options.as` is then its parent.
   * @example `const { pid } = await table.spawnOn("b@host", "timer", "sleep", [1000], { monitor: true, as: process })`
   *
   * Rejects with `SPAWN_REFUSED` (`context.reason`: `notsup` before OTP 23, `badopt`, `system_limit`),
   * `CALL_TIMEOUT`, `NO_CONNECTION`, `PROCESS_DEAD`, `NODE_CLOSED`, a code of `@isthmus/etf`, or the signal's reason.
   * A function that does not exist is no error here: the process is spawned and ends with `undef`.
   */
  async spawnOn(
    node: string | Atom,
    module: string | Atom,
    name: string | Atom,
    args: readonly Term[],
    options: RemoteSpawnOptions & Pick<TableCallOptions, "as"> = {},
  ): Promise<RemoteProcess> {
    return spawnOn(this.#as(options.as), this.#runtime, node, module, name, args, options);
  }

  /**
   * Gives a process a name, under which others reach it as `{Name, Node}`. It may have several.
   * @throws IsthmusError `NAME_TAKEN`, `PROCESS_DEAD`
   */
  register(name: string | Atom, process: Process): void {
    this.#runtime.registry.register(toAtom(name), own(process));
  }

  /** @returns whether somebody had the name */
  unregister(name: string | Atom): boolean {
    return this.#runtime.registry.unregister(toAtom(name));
  }

  /** The process of this node with that name. */
  whereis(name: string | Atom): Process | undefined {
    return this.#runtime.registry.whereis(toAtom(name));
  }

  /** All registered names. */
  registered(): string[] {
    return this.#runtime.registry.registered();
  }

  /** Sends a message in the name of a hidden process. @throws IsthmusError `NODE_CLOSED`, a code of `@isthmus/etf` */
  send(to: Address, message: Term): void {
    this.#defaultCaller().send(to, message);
  }

  /**
   * `gen_server:call`: asks a gen_server, a gen_statem or a server of {@link ProcessTable.serve}, and resolves with its
   * answer. A name of another node is written `{ name: "orders", node: "a@host" }`.
   *
   * Rejects with `CALL_TIMEOUT`, `NO_PROCESS`, `NO_CONNECTION`, `CALL_EXIT` (`context.reason`: why the process ended),
   * `REPLY_MALFORMED`, `PROCESS_DEAD`, `NODE_CLOSED`, a code of `@isthmus/etf`, or the abort signal's reason.
   */
  async call(to: ProcessAddress, request: Term, options: TableCallOptions = {}): Promise<Term> {
    return genCall(this.#as(options.as), this.#runtime, to, request, options);
  }

  /** `gen_server:cast`. @throws IsthmusError `NODE_CLOSED`, a code of `@isthmus/etf` */
  cast(to: ProcessAddress, message: Term, options: Pick<TableCallOptions, "as"> = {}): void {
    genCast(this.#as(options.as), to, message);
  }

  /** `rpc:call/5`; see {@link RemoteCalls.rpc}. */
  async rpc(
    node: string | Atom,
    module: string | Atom,
    name: string | Atom,
    args: readonly Term[],
    options: CallOptions = {},
  ): Promise<Term> {
    return this.erpc.rpc(node, module, name, args, options);
  }

  /**
   * Starts a server that others reach with `gen_server:call` and `cast`.
   * @param name undefined for one that is reached by its pid only
   * @throws IsthmusError as {@link ProcessTable.spawn}
   */
  serve(name: string | Atom | undefined, handlers: ServerHandlers, options: ServerOptions = {}): Process {
    return serve(this.#runtime, name, handlers, options);
  }

  /**
   * Lets other nodes call functions of this program with `erpc:call`, `rpc:call`, `spawn/4` and the like. Whatever is
   * not exposed does not exist for them (`undef`).
   * @example `table.expose({ "math:add/2": (a, b) => Number(a) + Number(b) })`
   * @returns a function that takes them back
   * @throws IsthmusError `OPTION_INVALID`, `NAME_TAKEN`
   */
  expose(functions: Readonly<Record<string, ExposedFunction>>): () => void {
    return this.#exposed.add(functions);
  }

  /** Starts a process that can be the group leader of others, and gives what they print to `sink`. */
  serveIo(sink: IoSink, options: IoServerOptions = {}): Process {
    return serveIo(this.#runtime, sink, options);
  }

  /** Ends every process with reason `shutdown`, which their links and monitors learn. Nothing can be spawned any more. */
  close(): void {
    this.#runtime.close();
  }

  #as(process: Process | undefined): LocalProcess {
    return process === undefined ? this.#defaultCaller() : own(process);
  }

  /** Ignores all messages: what comes to it is a reply that nobody waits for any more. */
  #defaultCaller(): LocalProcess {
    if (this.#caller?.alive !== true)
      this.#caller = this.#runtime.spawn({ onMessage: () => undefined, trapExit: true });
    return this.#caller;
  }
}

function own(process: Process): LocalProcess {
  if (process instanceof LocalProcess) return process;
  throw coreError("OPTION_INVALID", "That is not a process of this node. Pass what spawn or serve returned.");
}
