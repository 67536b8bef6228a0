import type { Socket } from "node:net";
import {
  type BackoffOptions,
  backoffDelay,
  type Clock,
  type IsthmusError,
  isIsthmusError,
  type Logger,
  silentLogger,
  systemClock,
  type Timer,
} from "@isthmus/wire";
import { epmdError } from "./errors.ts";
import { DEFAULT_TIMEOUT_MS, discard, type EpmdAddress, exchange } from "./exchange.ts";
import { alive2Format } from "./reply-reader.ts";
import { type Alive2Fields, encodeAlive2Request } from "./requests.ts";

/** Options of {@link register}. */
export interface RegisterOptions extends Alive2Fields {
  /** Where to register; default the local epmd. */
  readonly epmd?: EpmdAddress;
  /** Milliseconds for each attempt. Default 5000. */
  readonly timeoutMs?: number;
  /** Ends the first attempt only; later on use {@link Registration.close}. */
  readonly signal?: AbortSignal;
  /** Register again whenever the connection to epmd ends. Default true. */
  readonly keep?: boolean;
  /** Delays between attempts to register again. Default 250 ms at first, at most 4 s. */
  readonly retry?: BackoffOptions;
  /** Called with every change after the first registration. */
  readonly onChange?: (change: RegistrationChange) => void;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** For the jitter of the delays; a number in [0, 1). Default `Math.random`. */
  readonly random?: () => number;
}

/** What may happen to a registration. */
export type RegistrationChange =
  /** epmd went away or dropped us: nodes cannot find this one. */
  | { readonly type: "lost"; readonly error: IsthmusError }
  /** An attempt to come back failed; `EPMD_NAME_TAKEN` means that another node has the name now. */
  | { readonly type: "retry-failed"; readonly error: IsthmusError; readonly attempt: number }
  /** Registered again. */
  | { readonly type: "restored" };

/** A name in epmd, held by an open connection. Disposing of it closes it. */
export interface Registration extends AsyncDisposable {
  readonly name: string;
  /**
   * The node's creation: the one of the first registration, for good, as the node's pids carry it. 1 to 3 when
   * `highVersion` is below 6.
   */
  readonly creation: number;
  /** Whether epmd has the name at this moment. */
  readonly registered: boolean;
  /** Gives the name up; resolves when epmd has taken note of it. May be called any number of times. */
  close(): Promise<void>;
}

const DEFAULT_RETRY: BackoffOptions = { firstMs: 250, maxMs: 4000 };

/**
 * Registers a node with epmd (ALIVE2) and keeps it registered.
 *
 * As in a BEAM, listen first and register then. When epmd goes away, the name is registered again as soon as epmd is
 * back, with growing, jittered delays; the new creation that epmd then gives is not used.
 * @throws IsthmusError `EPMD_NAME_TAKEN`, `EPMD_NAME_INVALID`, `EPMD_OPTIONS_INVALID`, `EPMD_UNREACHABLE`,
 * `EPMD_TIMEOUT`, `EPMD_ABORTED`, `EPMD_NO_REPLY`, `EPMD_REPLY_MALFORMED`
 */
export async function register(options: RegisterOptions): Promise<Registration> {
  const request = encodeAlive2Request(options);
  const first = await announce(request, options, options.signal);
  return new KeptRegistration(request, options, first);
}

interface Announced {
  readonly socket: Socket;
  readonly creation: number;
}

/** One attempt; the socket that comes back is the registration. */
async function announce(
  request: Buffer,
  options: RegisterOptions,
  signal: AbortSignal | undefined,
): Promise<Announced> {
  const { reply, socket } = await exchange(request, alive2Format, {
    ...options.epmd,
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    ...(signal === undefined ? {} : { signal }),
    ...(options.clock === undefined ? {} : { clock: options.clock }),
  });
  if (reply.ok) return { socket, creation: reply.creation };
  // epmd keeps the connection of a refused node open, so that closing it falls to us.
  discard(socket);
  throw epmdError(
    "EPMD_NAME_TAKEN",
    `epmd refused to register ${JSON.stringify(options.name)}: a node of that name is running. Choose another name or end that node.`,
    { context: { name: options.name, result: reply.result } },
  );
}

type State =
  | { readonly at: "registered"; readonly socket: Socket }
  | { readonly at: "waiting"; readonly timer: Timer }
  | { readonly at: "trying"; readonly abort: AbortController }
  /** Lost for good, `keep` being off. */
  | { readonly at: "lost" }
  | { readonly at: "closed"; readonly done: Promise<void> };

class KeptRegistration implements Registration {
  readonly name: string;
  readonly creation: number;
  readonly #request: Buffer;
  readonly #options: RegisterOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #state: State;

  constructor(request: Buffer, options: RegisterOptions, first: Announced) {
    this.name = options.name;
    this.creation = first.creation;
    this.#request = request;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    this.#state = this.#hold(first.socket);
    this.#logger.debug({ name: this.name, creation: this.creation }, "registered with epmd");
  }

  get registered(): boolean {
    return this.#state.at === "registered";
  }

  close(): Promise<void> {
    const state = this.#state;
    if (state.at === "closed") return state.done;
    if (state.at === "waiting") state.timer.cancel();
    const done = state.at === "registered" ? this.#giveUp(state.socket) : Promise.resolve();
    this.#state = { at: "closed", done };
    if (state.at === "trying") state.abort.abort();
    return done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** epmd closes its side once it has unregistered the name, so its FIN is the confirmation. */
  async #giveUp(socket: Socket): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS, () => socket.destroy());
      socket.once("close", () => {
        timer.cancel();
        resolve();
      });
      socket.resume();
      socket.end();
    });
  }

  #hold(socket: Socket): State {
    let error: IsthmusError | undefined;
    const lose = (why: string, cause?: unknown): void => {
      error ??= epmdError(
        "EPMD_REGISTRATION_LOST",
        `The registration of ${JSON.stringify(this.name)} is lost: ${why}.`,
        { cause, context: { name: this.name } },
      );
    };
    socket.setKeepAlive(true);
    socket.on("error", (cause) => lose(`the connection to epmd failed (${cause.message})`, cause));
    socket.on("end", () => lose("epmd closed the connection"));
    socket.on("data", () => {
      // epmd never speaks here. Reading on would let a stranger keep us busy; starting over is safe.
      lose("epmd sent bytes that the protocol does not have");
      socket.destroy();
    });
    socket.once("close", () => {
      if (this.#state.at !== "registered" || this.#state.socket !== socket) return;
      lose("the connection was closed");
      this.#lost(error!);
    });
    return { at: "registered", socket };
  }

  #lost(error: IsthmusError): void {
    if (this.#options.keep === false) {
      this.#state = { at: "lost" };
    } else {
      this.#wait(0);
    }
    this.#logger.warn({ name: this.name, error }, "registration with epmd lost");
    this.#options.onChange?.({ type: "lost", error });
  }

  #wait(attempt: number): void {
    const random = (this.#options.random ?? Math.random)();
    const delay = backoffDelay(attempt, this.#options.retry ?? DEFAULT_RETRY, random);
    const timer = this.#clock.after(delay, () => void this.#retry(attempt));
    this.#state = { at: "waiting", timer };
  }

  async #retry(attempt: number): Promise<void> {
    const abort = new AbortController();
    this.#state = { at: "trying", abort };
    try {
      const { socket } = await announce(this.#request, this.#options, abort.signal);
      if (abort.signal.aborted) {
        discard(socket);
        return;
      }
      this.#state = this.#hold(socket);
    } catch (error) {
      if (abort.signal.aborted) return;
      if (!isIsthmusError(error)) throw error;
      this.#wait(attempt + 1);
      this.#logger.debug({ name: this.name, attempt, error }, "could not register with epmd again");
      this.#options.onChange?.({ type: "retry-failed", error, attempt });
      return;
    }
    this.#logger.info({ name: this.name }, "registered with epmd again");
    this.#options.onChange?.({ type: "restored" });
  }
}
