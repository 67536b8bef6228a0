import { expect } from "vitest";
import type { Lease } from "../../packages/bridge/src/trunk/lease.ts";
import { type CuttingProxy, startCuttingProxy } from "./cutting-proxy.ts";
import { ending } from "./sites.ts";

/** Two that want one lease, each by a way of its own to the service; and a watch that two never hold it. */
export class Rivals {
  readonly first: Lease;
  readonly second: Lease;
  readonly ways: readonly [CuttingProxy, CuttingProxy];
  readonly faults: string[] = [];
  readonly lost: string[] = [];

  constructor(ways: readonly [CuttingProxy, CuttingProxy], make: (port: number) => Lease) {
    this.ways = ways;
    this.first = make(ways[0].port);
    this.second = make(ways[1].port);
    this.first.onLost(({ code }) => this.lost.push(`first ${code}`));
    this.second.onLost(({ code }) => this.lost.push(`second ${code}`));
    const watch = setInterval(() => this.check(), 2);
    ending(watch, () => clearInterval(watch));
    ending(this, () => Promise.all([this.first.release(), this.second.release()]));
  }

  check(): void {
    if (this.first.held && this.second.held) this.faults.push("two holders");
  }

  /** The second gets it after `happens` to the first, which holds it. @returns after how many milliseconds */
  async takeover(happens: () => unknown): Promise<number> {
    expect(this.first.held).toBe(true);
    const waiting = this.second.acquire();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const began = performance.now();
    await happens();
    await waiting;
    this.check();
    expect([this.first.held, this.second.held]).toEqual([false, true]);
    expect(this.faults).toEqual([]);
    return performance.now() - began;
  }
}

/** Makes two rivals, each with a way of its own to a port. */
export async function rivals(port: number, make: (port: number) => Lease): Promise<Rivals> {
  const ways = [await startCuttingProxy(port), await startCuttingProxy(port)] as const;
  for (const way of ways) ending(way, (one) => one.close());
  return new Rivals(ways, make);
}

/** Shows how long a takeover took. */
export const print = (what: string, ms: number): void =>
  void process.stdout.write(`takeover, ${what}: ${(ms / 1000).toFixed(2)} s\n`);
