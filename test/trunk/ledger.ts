import type { IsthmusError } from "@isthmus/wire";
import type { TrunkLink, TrunkSink } from "../../packages/bridge/src/trunk/link.ts";

const HEADER = 12;

/**
 * One end of a trunk that sends numbered payloads on some channels, as fast as it may, and checks those that come:
 * each once, in order, with all its bytes.
 */
export class Ledger implements TrunkSink {
  /** What happened, without the payloads: "up", "suspended CODE", "resumed", "lost CODE". */
  readonly events: string[] = [];
  /** What was wrong with payloads that came. */
  readonly faults: string[] = [];
  readonly sent = new Map<string, number>();
  readonly received = new Map<string, number>();
  reason: IsthmusError | undefined;
  onData: ((channel: string) => void) | undefined;
  #waiting: (() => void)[] = [];

  up(): void {
    this.#event("up");
  }
  suspended(_link: TrunkLink, reason: IsthmusError): void {
    this.#event(`suspended ${reason.code}`);
  }
  resumed(): void {
    this.#event("resumed");
  }
  lost(_link: TrunkLink, reason: IsthmusError): void {
    this.reason = reason;
    this.received.clear();
    this.sent.clear();
    this.#event(`lost ${reason.code}`);
  }
  denied(_link: TrunkLink, channel: string, reason: IsthmusError, cut: boolean): void {
    if (cut) this.sent.delete(channel);
    this.#event(`denied ${channel} ${reason.code}${cut ? " cut" : ""}`);
  }
  cut(_link: TrunkLink, channel: string): void {
    this.received.delete(channel);
    this.#event(`cut ${channel}`);
  }
  writable(): void {
    this.#wake();
  }

  data(link: TrunkLink, channel: string, bytes: Buffer): void {
    const expected = this.received.get(channel) ?? 0;
    const number = bytes.readUInt32BE(0);
    if (link.state === "down") this.faults.push(`${channel}: ${number} came without a session`);
    if (number !== expected) this.faults.push(`${channel}: ${number} came, not ${expected}`);
    if (bytes.readUInt32BE(4) !== bytes.length || !isWhole(bytes, number)) {
      this.faults.push(`${channel}: the bytes of ${number} are not those that were sent`);
    }
    this.received.set(channel, number + 1);
    this.onData?.(channel);
    this.#wake();
  }

  /** Sends the next payload of a channel, of `size` bytes or the smallest that there is. */
  send(link: TrunkLink, channel: string, size: number): void {
    const number = this.sent.get(channel) ?? 0;
    const bytes = Buffer.alloc(Math.max(size, HEADER), number & 0xff);
    bytes.writeUInt32BE(number, 0);
    bytes.writeUInt32BE(bytes.length, 4);
    link.send(channel, bytes);
    this.sent.set(channel, number + 1);
  }

  /** Waits for something to happen here until `condition` holds. */
  async until(condition: () => boolean, what: string, timeoutMs = 30_000): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        const state = [...this.received].map(([channel, count]) => `${channel} ${count}`).join(", ");
        reject(
          new Error(`${what}: not after ${timeoutMs} ms. ${this.events.slice(-5).join("; ")}; ${state}`),
        );
      }, timeoutMs);
    });
    late.catch(() => undefined);
    try {
      while (!condition()) {
        await Promise.race([new Promise<void>((resolve) => void this.#waiting.push(resolve)), late]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits until all that `sender` has sent is here. */
  async caughtUp(sender: Ledger): Promise<void> {
    const all = (): boolean =>
      [...sender.sent].every(([channel, count]) => this.received.get(channel) === count);
    await this.until(all, "not everything arrived");
  }

  #event(what: string): void {
    this.events.push(what);
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

function isWhole(bytes: Buffer, number: number): boolean {
  const fill = bytes.subarray(8);
  return (
    fill.length === 0 ||
    (fill[0] === (number & 0xff) && fill.equals(Buffer.alloc(fill.length, number & 0xff)))
  );
}
