import { IsthmusError } from "@isthmus/wire";
import { describe, expect, it } from "vitest";
import { FakeClock } from "../../../test/support/fake-clock.ts";
import { startStandby } from "../src/standby.ts";
import type { Lease } from "../src/trunk/lease.ts";

/** A lease that the test gives and takes. */
class TestLease implements Lease {
  held = false;
  waiting: (() => void) | undefined;
  released = 0;
  readonly #listeners = new Set<(reason: IsthmusError) => void>();

  acquire(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason));
      if (signal?.aborted) reject(signal.reason);
      this.waiting = () => {
        this.waiting = undefined;
        this.held = true;
        resolve();
      };
    });
  }
  async renew(): Promise<void> {}
  async release(): Promise<void> {
    if (this.held) this.released++;
    this.held = false;
  }
  onLost(listener: (reason: IsthmusError) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
  lose(): void {
    this.held = false;
    for (const listener of this.#listeners) listener(new IsthmusError("LEASE_LOST", "It is lost."));
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What runs, as the test sees it. */
class Runs {
  readonly lines: string[] = [];
  readonly lease = new TestLease();
  readonly clock = new FakeClock();
  starting: Promise<unknown> = Promise.resolve();
  ending: Promise<unknown> = Promise.resolve();
  readonly standby = startStandby({
    lease: this.lease,
    clock: this.clock,
    start: async () => {
      this.lines.push("start");
      await this.starting;
      return {
        close: async (lost?: IsthmusError) => {
          this.lines.push(`close ${lost?.code ?? "politely"}`);
          await this.ending;
          this.lines.push("closed");
        },
      };
    },
  });
}

describe("a standby", () => {
  it("runs while it has the lease, ends at once when it is lost, and then waits again", async () => {
    const runs = new Runs();
    await turn();
    expect(runs.standby.status()).toMatchObject({ state: "standby", activations: 0 });
    runs.lease.waiting!();
    await turn();
    expect(runs.standby.status()).toMatchObject({ state: "active", activations: 1 });
    runs.lease.lose();
    // before the call returns
    expect(runs.lines).toEqual(["start", "close LEASE_LOST"]);
    await turn();
    expect(runs.standby.status()).toMatchObject({
      ...{ state: "standby", losses: 1 },
      lastReason: { code: "LEASE_LOST" },
    });
    runs.lease.waiting!();
    await turn();
    expect(runs.standby.state).toBe("active");
    await runs.standby.stop();
    expect(runs.lines.slice(2)).toEqual(["closed", "start", "close politely", "closed"]);
    expect(runs.lease.released).toBe(1);
    expect(runs.standby.state).toBe("stopped");
  });

  it("gives the lease back only when what ran has ended; loss meanwhile makes haste", async () => {
    const runs = new Runs();
    await turn();
    runs.lease.waiting!();
    await turn();
    let end = (): void => undefined;
    runs.ending = new Promise<void>((resolve) => {
      end = resolve;
    });
    const stopped = runs.standby.stop();
    await turn();
    expect([runs.standby.state, runs.lease.held]).toEqual(["stopping", true]);
    runs.lease.lose();
    expect(runs.lines).toEqual(["start", "close politely", "close LEASE_LOST"]);
    end();
    await stopped;
    expect(runs.lease.released).toBe(0);
  });

  it("lost while it starts: what has started ends at once", async () => {
    const runs = new Runs();
    let begin = (): void => undefined;
    runs.starting = new Promise<void>((resolve) => {
      begin = resolve;
    });
    await turn();
    runs.lease.waiting!();
    await turn();
    expect(runs.standby.state).toBe("starting");
    runs.lease.lose();
    begin();
    await turn();
    expect(runs.lines).toEqual(["start", "close LEASE_LOST", "closed"]);
    expect(runs.standby.status()).toMatchObject({ state: "standby", activations: 0 });
    await runs.standby.stop();
  });

  it("a start that fails gives the lease back, and is tried again later", async () => {
    const runs = new Runs();
    runs.starting = Promise.reject(new IsthmusError("EPMD_NAME_TAKEN", "Another has the name."));
    runs.starting.catch(() => undefined);
    await turn();
    runs.lease.waiting!();
    await turn();
    expect(runs.lease.released).toBe(1);
    expect(runs.standby.status().lastReason).toMatchObject({ code: "EPMD_NAME_TAKEN" });
    expect(runs.lease.waiting).toBeUndefined();
    runs.starting = Promise.resolve();
    runs.clock.advance(1000);
    await turn();
    runs.lease.waiting!();
    await turn();
    expect(runs.standby.state).toBe("active");
    await runs.standby.stop();
  });

  it("stops while it waits", async () => {
    const runs = new Runs();
    await turn();
    await runs.standby.stop();
    await runs.standby.stop();
    expect(runs.lines).toEqual([]);
    expect(runs.standby.state).toBe("stopped");
  });
});
