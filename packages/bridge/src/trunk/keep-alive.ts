import type { Clock, IsthmusError, Timer } from "@isthmus/wire";
import { trunkError } from "./errors.ts";
import type { TrunkLimits } from "./limits.ts";

/** Asks a peer now and then whether it is there, and notices when it is not. */
export class KeepAlive {
  readonly #clock: Clock;
  readonly #limits: TrunkLimits;
  readonly #ask: () => void;
  readonly #silent: (reason: IsthmusError) => void;
  #heard = true;
  #silentMs = 0;
  #dueAt = 0;
  #timer: Timer | undefined;

  /**
   * @param ask sends a PING
   * @param silent nothing was heard for the whole time; it has stopped
   */
  constructor(clock: Clock, limits: TrunkLimits, ask: () => void, silent: (reason: IsthmusError) => void) {
    this.#clock = clock;
    this.#limits = limits;
    this.#ask = ask;
    this.#silent = silent;
  }

  start(): void {
    this.#heard = true;
    this.#silentMs = 0;
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** Something came from the peer. */
  heard(): void {
    this.#heard = true;
  }

  #arm(): void {
    const { keepAliveMs } = this.#limits;
    this.#timer?.cancel();
    this.#dueAt = this.#clock.now() + keepAliveMs;
    this.#timer = this.#clock.after(keepAliveMs, () => this.#due());
  }

  #due(): void {
    const { keepAliveMs, silenceMs } = this.#limits;
    // a process that was stopped has not listened either
    const stopped = this.#clock.now() - this.#dueAt > keepAliveMs;
    if (this.#heard || stopped) this.#silentMs = 0;
    else this.#silentMs += keepAliveMs;
    this.#heard = false;
    if (this.#silentMs < silenceMs) {
      this.#arm();
      this.#ask();
      return;
    }
    this.#silent(
      trunkError("TRUNK_SILENT", `The far site has been silent for ${this.#silentMs} ms.`, {
        context: { silentMs: this.#silentMs },
      }),
    );
  }
}
