import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { KeptLease, type LeaseStore, type LeaseStoreEvents } from "../../src/trunk/lease.ts";
import { consulLease } from "../../src/trunk/lease-consul.ts";
import { postgresLease } from "../../src/trunk/lease-postgres.ts";

const TTL = 9_000;

/** A service that keeps one lease; it forgets a holder that is silent, or, as services do, out of the blue. */
class Service {
  readonly clock: FakeClock;
  holder: Contender | undefined;
  heardAt = 0;
  /** The last holder said that it has ended. */
  orderly = false;

  constructor(clock: FakeClock) {
    this.clock = clock;
  }

  forgetSilent(): void {
    if (this.holder !== undefined && this.clock.now() - this.heardAt >= TTL) this.holder = undefined;
  }
}

/** One who wants it, with a connection that answers when the test says so. */
class Contender implements LeaseStore {
  readonly description = "test";
  events: LeaseStoreEvents | undefined;
  readonly lease: KeptLease;
  /** What it logged of the lease. */
  readonly said: string[] = [];
  reachable = true;
  readonly #service: Service;

  constructor(service: Service) {
    this.#service = service;
    const log = (_fields: object, message: string): void => void this.said.push(message);
    const logger = { debug: log, info: log, warn: log, error: log };
    this.lease = new KeptLease(this, TTL, { name: "test", clock: service.clock, logger });
  }

  async tryAcquire(): Promise<{ readonly settleMs: number } | undefined> {
    const service = this.#asked();
    if (service.holder !== undefined && service.holder !== this) return undefined;
    const settleMs = service.orderly ? 0 : TTL;
    service.holder = this;
    service.orderly = false;
    service.heardAt = service.clock.now();
    return { settleMs };
  }

  async renew(): Promise<boolean> {
    const service = this.#asked();
    if (service.holder !== this) return false;
    service.heardAt = service.clock.now();
    return true;
  }

  async release(): Promise<void> {
    const service = this.#asked();
    if (service.holder !== this) return;
    service.holder = undefined;
    service.orderly = true;
  }

  abandon(): void {
    if (this.reachable && this.#service.holder === this) this.#service.holder = undefined;
  }

  #asked(): Service {
    if (!this.reachable) throw new Error("no route");
    this.#service.forgetSilent();
    return this.#service;
  }
}

async function microtasks(): Promise<void> {
  for (let i = 0; i < 30; i++) await Promise.resolve();
}

async function pass(clock: FakeClock, ms: number, each: () => void = () => undefined): Promise<void> {
  for (let passed = 0; passed < ms; passed += 250) {
    clock.advance(250);
    await microtasks();
    each();
  }
}

describe("a lease", () => {
  it("is held after the wait, renewed by itself, and given back for the next at once", async () => {
    const clock = new FakeClock();
    const service = new Service(clock);
    const [first, second] = [new Contender(service), new Contender(service)];
    let got = "";
    const begun = first.lease.acquire().then(() => {
      got += "first ";
    });
    await pass(clock, TTL - 250);
    expect(first.lease.held).toBe(false);
    await pass(clock, 250);
    await begun;
    void second.lease.acquire().then(() => {
      got += "second";
    });
    await pass(clock, 10 * TTL);
    expect([first.lease.held, second.lease.held, got]).toEqual([true, false, "first "]);
    expect(second.said).toEqual([]);
    // it says so before anybody else can have it
    const released = first.lease.release();
    expect(first.said).toEqual(["lease acquired", "giving the lease back"]);
    await released;
    expect(first.lease.held).toBe(false);
    await pass(clock, 1000);
    expect([second.lease.held, got]).toEqual([true, "first second"]);
    await second.lease.release();
    expect(clock.pending).toBe(0);
  });

  it("a holder that cannot renew stops itself before anybody else can hold it, and says so", async () => {
    const clock = new FakeClock();
    const service = new Service(clock);
    const [first, second] = [new Contender(service), new Contender(service)];
    const reasons: string[] = [];
    const forget = first.lease.onLost((reason) => reasons.push(reason.code));
    void first.lease.acquire();
    await pass(clock, TTL);
    void second.lease.acquire();
    await pass(clock, TTL);
    first.reachable = false;
    let heldUntil = 0;
    let heldFrom = 0;
    await pass(clock, 5 * TTL, () => {
      if (first.lease.held) heldUntil = clock.now();
      if (second.lease.held && heldFrom === 0) heldFrom = clock.now();
    });
    expect(reasons).toEqual(["LEASE_LOST"]);
    expect(heldFrom - heldUntil).toBeGreaterThan(TTL);
    await expect(first.lease.renew()).rejects.toMatchObject({ code: "LEASE_LOST" });
    forget();
    first.reachable = true;
    void first.lease.acquire();
    await pass(clock, TTL);
    expect([first.lease.held, second.lease.held]).toEqual([false, true]);
  });

  it("is not held any more by the clock, even before any timer has run", async () => {
    const clock = new FakeClock();
    const contender = new Contender(new Service(clock));
    void contender.lease.acquire();
    await pass(clock, TTL);
    expect(contender.lease.held).toBe(true);
    // what a process sees that was stopped for long
    let seen: boolean | undefined;
    clock.after(1, () => {
      seen = contender.lease.held;
    });
    contender.reachable = false;
    clock.advance(TTL);
    expect([seen, contender.lease.held]).toEqual([false, false]);
  });

  it("a service that takes it away is heard at once", async () => {
    const clock = new FakeClock();
    const contender = new Contender(new Service(clock));
    void contender.lease.acquire();
    await pass(clock, TTL);
    const reasons: unknown[] = [];
    contender.lease.onLost((reason) => reasons.push(reason.cause));
    contender.events?.lost("terminated");
    expect([contender.lease.held, reasons]).toEqual([false, ["terminated"]]);
  });

  it("whoever gives up waiting holds nothing", async () => {
    const clock = new FakeClock();
    const service = new Service(clock);
    const contender = new Contender(service);
    const controller = new AbortController();
    const waiting = contender.lease.acquire(controller.signal);
    const refused = expect(waiting).rejects.toThrow("enough");
    await pass(clock, TTL / 2);
    expect(service.holder).toBe(contender);
    controller.abort(new Error("enough"));
    await refused;
    expect([service.holder, contender.lease.held, clock.pending]).toEqual([undefined, false, 0]);
    await expect(contender.lease.acquire(AbortSignal.abort(new Error("already")))).rejects.toThrow("already");
  });

  it("two never hold it, whatever happens to them and to the service", async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constantFrom("cut", "join", "want", "release"), who: fc.nat({ max: 2 }) }),
      fc.record({ do: fc.constant("forget"), who: fc.constant(0) }),
      fc.record({ do: fc.constant("pass"), who: fc.integer({ min: 1, max: 60 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
        const clock = new FakeClock();
        const service = new Service(clock);
        const all = [0, 1, 2].map(() => new Contender(service));
        const wanting = new Set<Contender>();
        const want = (one: Contender): void => {
          if (wanting.has(one) || one.lease.held) return;
          wanting.add(one);
          one.lease.acquire().then(
            () => wanting.delete(one),
            () => wanting.delete(one),
          );
        };
        const check = (): void => expect(all.filter(({ lease }) => lease.held).length).toBeLessThan(2);
        for (const one of all) want(one);
        for (const { do: what, who } of steps) {
          const one = all[who % 3]!;
          if (what === "pass") await pass(clock, who * 250, check);
          else if (what === "cut") one.reachable = false;
          else if (what === "join") one.reachable = true;
          else if (what === "want") want(one);
          else if (what === "release") await one.lease.release();
          // the server is replaced by a standby, which knows of no locks
          else {
            service.holder = undefined;
            service.orderly = false;
          }
          await microtasks();
          check();
        }
        for (const one of all) one.reachable = true;
        for (const one of all) want(one);
        await pass(clock, 6 * TTL, check);
        expect(all.filter(({ lease }) => lease.held)).toHaveLength(1);
      }),
      { numRuns: 60 },
    );
  });

  it.each([
    ["a time to live that Consul does not know", () => consulLease({ name: "n", ttlMs: 5000 })],
    ["an address that is none", () => consulLease({ name: "n", url: "consul:8500" })],
    ["a time to live that is too short", () => postgresLease({ name: "n", ttlMs: 100, database: {} })],
    ["no name", () => postgresLease({ name: "", database: {} })],
  ])("refuses %s", (_what, make) => {
    expect(make).toThrow(expect.objectContaining({ code: "LEASE_OPTIONS_INVALID" }));
  });
});
