import { connect } from "node:net";
import type { Clock } from "@isthmus/wire";
import { inParallel } from "../in-parallel.ts";
import type { Droplet } from "./droplets.ts";

/** Whether a TCP port accepts connections decides whether a droplet counts. */
export interface HealthCheck {
  readonly type?: "tcp";
  readonly port: number;
  /** Milliseconds for a connection, 1 to 30000. @default 500 */
  readonly timeout?: number;
  /** A droplet that was healthy counts until that many checks in a row have failed, 1 to 100. @default 3 */
  readonly failures?: number;
}

/** Checks that are under way at once. */
const PARALLEL = 64;

/** Finds out which droplets are healthy, and remembers for each how it was. */
export class HealthChecks {
  readonly #check: Required<Omit<HealthCheck, "type">>;
  readonly #clock: Clock;
  /** Failed checks in a row, of droplets that have been healthy. */
  #failures = new Map<number, number>();

  constructor(check: HealthCheck, clock: Clock) {
    this.#check = { timeout: 500, failures: 3, ...check };
    this.#clock = clock;
  }

  /** Rejects with the signal's reason when that is aborted. */
  async healthy(droplets: readonly Droplet[], signal: AbortSignal): Promise<readonly Droplet[]> {
    const { port, timeout, failures: allowed } = this.#check;
    const accepted = await inParallel(droplets, PARALLEL, ({ address }) =>
      accepts(address, port, timeout, this.#clock, signal),
    );
    const failures = new Map<number, number>();
    const healthy = droplets.filter(({ id }, i) => {
      const before = this.#failures.get(id);
      const now = accepted[i] ? 0 : (before ?? allowed) + 1;
      if (now >= allowed) return false;
      failures.set(id, now);
      return true;
    });
    this.#failures = failures;
    return healthy;
  }
}

/** Whether a TCP connection can be made in time. */
function accepts(
  host: string,
  port: number,
  timeoutMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const socket = connect({ host, port });
    const end = (settle: () => void): void => {
      timer.cancel();
      signal.removeEventListener("abort", aborted);
      socket.destroy();
      settle();
    };
    const aborted = (): void => end(() => reject(signal.reason));
    const timer = clock.after(timeoutMs, () => end(() => resolve(false)));
    signal.addEventListener("abort", aborted, { once: true });
    socket.once("connect", () => end(() => resolve(true)));
    socket.on("error", () => end(() => resolve(false)));
  });
}
