import type { Clock, Timer } from "@isthmus/wire";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { KeptLease } from "../../src/trunk/lease.ts";
import { KubernetesStore, kubernetesLease } from "../../src/trunk/lease-kubernetes.ts";
import { AT_ONCE, type Fate, LeaseApi } from "./lease-api.ts";

const TTL = 9_000;
const STEP = 250;

/** The clock of a process that can be stopped, as by SIGSTOP: time goes on, and nothing runs. */
class StoppableClock implements Clock {
  readonly #base: FakeClock;
  #waiting: (() => void)[] | undefined;

  constructor(base: FakeClock) {
    this.#base = base;
  }

  now(): number {
    return this.#base.now();
  }

  after(ms: number, run: () => void): Timer {
    let cancelled = false;
    const timer = this.#base.after(ms, () => this.soon(() => cancelled || run()));
    return {
      cancel: () => {
        cancelled = true;
        timer.cancel();
      },
    };
  }

  readonly soon = (run: () => void): void => {
    if (this.#waiting === undefined) run();
    else this.#waiting.push(run);
  };

  stop(): void {
    this.#waiting ??= [];
  }

  goOn(): void {
    const all = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const run of all) run();
  }
}

/** One process that wants the lease. */
class Contender {
  readonly lease: KeptLease;
  readonly clock: StoppableClock;
  readonly lost: string[] = [];
  fate = AT_ONCE;
  /** What happens to the next requests, before {@link Contender.fate} does. */
  readonly next: Fate[] = [];
  #wanting = false;

  constructor(base: FakeClock, api: LeaseApi, ttlMs = TTL) {
    this.clock = new StoppableClock(base);
    const way = api.way(this.clock.soon, () => this.next.shift() ?? this.fate);
    const options = { name: "test", clock: this.clock };
    this.lease = new KeptLease(new KubernetesStore(way, options, ttlMs), ttlMs, options);
    this.lease.onLost(({ code }) => this.lost.push(code));
  }

  want(): void {
    if (this.#wanting || this.lease.held) return;
    this.#wanting = true;
    const done = (): void => {
      this.#wanting = false;
    };
    this.lease.acquire().then(done, done);
  }

  cutOff(): void {
    this.fate = { ...AT_ONCE, lost: "there" };
  }
}

class Contest {
  readonly clock = new FakeClock();
  readonly api = new LeaseApi(this.clock);
  readonly all: Contender[];

  constructor(count: number) {
    this.all = Array.from({ length: count }, () => new Contender(this.clock, this.api));
  }

  get spec(): Readonly<Record<string, unknown>> {
    return this.api.lease!.spec;
  }

  get held(): readonly boolean[] {
    return this.all.map(({ lease }) => lease.held);
  }

  async pass(ms: number, each: () => void = () => undefined): Promise<void> {
    for (let passed = 0; passed < ms; passed += STEP) {
      this.clock.advance(STEP);
      await microtasks();
      each();
    }
  }
}

async function microtasks(): Promise<void> {
  for (let i = 0; i < 40; i++) await Promise.resolve();
}

/** Two, of which the first has it. */
async function pair(): Promise<[Contest, Contender, Contender]> {
  const contest = new Contest(2);
  const [first, second] = contest.all as [Contender, Contender];
  first.want();
  await contest.pass(TTL + STEP);
  second.want();
  await contest.pass(TTL);
  expect(contest.held).toEqual([true, false]);
  return [contest, first, second];
}

afterEach(() => void vi.useRealTimers());

describe("a lease in Kubernetes", () => {
  it("is written as leader election writes it", async () => {
    const [contest, first, second] = await pair();
    const [identity, acquired] = [contest.spec["holderIdentity"], contest.spec["acquireTime"]];
    const micro = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    expect(contest.spec).toEqual({
      holderIdentity: expect.stringMatching(/^.+_[0-9a-f-]{36}$/),
      leaseDurationSeconds: 9,
      leaseTransitions: 0,
      acquireTime: micro,
      renewTime: micro,
    });
    const renewed = contest.spec["renewTime"];
    await contest.pass(TTL);
    expect(contest.spec["renewTime"]).not.toBe(renewed);
    expect(contest.spec["acquireTime"]).toBe(acquired);

    await first.lease.release();
    expect(contest.spec).toMatchObject({ holderIdentity: "", leaseDurationSeconds: 1, leaseTransitions: 0 });
    await contest.pass(1_000);
    expect(contest.held).toEqual([false, true]);
    expect(contest.spec).toMatchObject({ leaseDurationSeconds: 9, leaseTransitions: 1 });
    expect(contest.spec["holderIdentity"]).not.toBe(identity);
    expect([...first.lost, ...second.lost]).toEqual([]);
    await second.lease.release();
    expect(contest.clock.pending).toBe(0);
  });

  it("counts for the first holder ever only when one whose Lease was deleted would have stopped", async () => {
    const contest = new Contest(1);
    contest.all[0]!.want();
    await contest.pass(TTL - STEP);
    expect(contest.held).toEqual([false]);
    await contest.pass(STEP);
    expect(contest.held).toEqual([true]);
  });

  it("the same when it does not hear that its Lease was created", async () => {
    const contest = new Contest(1);
    contest.all[0]!.next.push(AT_ONCE, { ...AT_ONCE, lost: "back" });
    contest.all[0]!.want();
    await contest.pass(TTL / 3 + 1_000 + TTL - STEP);
    expect([contest.spec["leaseTransitions"], contest.held]).toEqual([0, [false]]);
    await contest.pass(2 * STEP);
    expect(contest.held).toEqual([true]);
  });

  it("keeps what others have written into the object besides", async () => {
    const [contest, first] = await pair();
    const { metadata, spec } = contest.api.lease!;
    contest.api.lease = {
      metadata: { ...metadata, labels: { team: "north" }, resourceVersion: "5000" },
      spec: { ...spec, strategy: "OldestEmulationVersion" },
    };
    await contest.pass(TTL);
    expect(contest.held).toEqual([true, false]);
    expect(contest.api.lease).toMatchObject({
      metadata: { labels: { team: "north" } },
      spec: { strategy: "OldestEmulationVersion" },
    });
    expect(first.lost).toEqual([]);
  });

  it("a holder that is cut off has stopped before another has it; it hears of that later", async () => {
    const [contest, first] = await pair();
    first.cutOff();
    let [until, from] = [0, 0];
    await contest.pass(3 * TTL, () => {
      if (contest.held[0]) until = contest.clock.now();
      if (contest.held[1] && from === 0) from = contest.clock.now();
    });
    expect(from).toBeGreaterThan(until);
    expect(first.lost).toEqual(["LEASE_LOST"]);
    first.fate = AT_ONCE;
    first.want();
    await contest.pass(2 * TTL);
    expect(contest.held).toEqual([false, true]);
  });

  it.each(["there", "back"] as const)(
    "one request that is lost (%s) does not cost the lease",
    async (lost) => {
      const [contest, first] = await pair();
      const renewals = new Set<unknown>();
      for (let round = 0; round < 10; round++) {
        first.next.push({ ...AT_ONCE, lost });
        await contest.pass(TTL, () => expect(contest.held).toEqual([true, false]));
        renewals.add(contest.spec["renewTime"]);
      }
      expect(first.next).toEqual([]);
      expect(renewals.size).toBe(10);
      expect(first.lost).toEqual([]);
    },
  );

  it("no clock but that of the one who waits counts", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: new Date("1990-01-01T00:00:00Z") });
    // the time of the holder does not go on at all
    const [contest, first] = await pair();
    for (const year of [1970, 2050, 2050, 1990]) {
      vi.setSystemTime(new Date(`${year}-01-01T00:00:00Z`));
      await contest.pass(3 * TTL);
      expect(contest.held).toEqual([true, false]);
      expect(contest.spec["renewTime"]).toMatch(new RegExp(`^${year}-01-01T00:00:00\\.000\\d{3}Z$`));
    }
    first.cutOff();
    await contest.pass(TTL);
    expect(contest.held).toEqual([false, false]);
    await contest.pass(TTL);
    expect(contest.held).toEqual([false, true]);
  });

  it("the time that a holder asks for is given to it, whatever the others ask for", async () => {
    const contest = new Contest(1);
    const long = new Contender(contest.clock, contest.api, 60_000);
    long.want();
    await contest.pass(61_000);
    expect(long.lease.held).toBe(true);
    contest.all[0]!.want();
    long.cutOff();
    await contest.pass(50_000);
    expect(contest.held).toEqual([false]);
    await contest.pass(30_000);
    expect(contest.held).toEqual([true]);
  });

  it.each([
    ["is deleted", (api: LeaseApi) => api.remove()],
    [
      "is cleared by hand",
      (api: LeaseApi) => {
        const { metadata, spec } = api.lease!;
        api.lease = {
          metadata: { ...metadata, resourceVersion: "7000" },
          spec: { ...spec, holderIdentity: null },
        };
      },
    ],
  ])(
    "a Lease that %s: the holder hears of it when it renews, and nobody has it before",
    async (_how, happens) => {
      const [contest, first] = await pair();
      happens(contest.api);
      await contest.pass(3 * TTL, () => expect(contest.held).not.toEqual([true, true]));
      expect(first.lost).toEqual(["LEASE_LOST"]);
      expect(contest.held).toEqual([false, true]);
    },
  );

  it.each([
    ["no object", "a text"],
    ["no version", { metadata: { name: "test" }, spec: {} }],
    ["nothing", null],
  ])("an API that answers with %s is not believed", async (_what, answer) => {
    const clock = new FakeClock();
    const way = { namespace: async () => "default", json: async () => answer };
    const store = new KubernetesStore(way, { name: "test", clock }, TTL);
    await expect(store.tryAcquire()).rejects.toMatchObject({ code: "LEASE_FAILED" });
    expect(clock.pending).toBe(0);
  });

  it("a record of nonsense is waited for as long as our own would be", async () => {
    const contest = new Contest(1);
    contest.api.lease = {
      metadata: { uid: "u", resourceVersion: "1" },
      spec: { holderIdentity: "x", leaseDurationSeconds: "y", leaseTransitions: {}, renewTime: 7 },
    };
    contest.all[0]!.want();
    await contest.pass(TTL - STEP);
    expect(contest.held).toEqual([false]);
    await contest.pass(2_000);
    expect(contest.held).toEqual([true]);
    expect(contest.spec["leaseTransitions"]).toBe(1);
  });

  it("three never hold it at once, whatever happens to them and to what they send", {
    timeout: 120_000,
  }, async () => {
    const fate = fc.record({
      there: fc.integer({ min: 0, max: 2 * TTL }),
      back: fc.integer({ min: 0, max: TTL }),
      lost: fc.constantFrom("not" as const, "not" as const, "there" as const, "back" as const),
    });
    const who = fc.nat({ max: 2 });
    const step = fc.oneof(
      fc.record({ do: fc.constant("pass" as const), steps: fc.integer({ min: 1, max: 60 }) }),
      fc.record({ do: fc.constant("fate" as const), who, fate }),
      fc.record({
        do: fc.constantFrom("heal", "stop", "goOn", "want", "release", "remove"),
        who,
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
        const contest = new Contest(3);
        const check = (): void => expect(contest.held.filter(Boolean).length).toBeLessThan(2);
        for (const one of contest.all) one.want();
        for (const what of steps) {
          if (what.do === "pass") await contest.pass(what.steps * STEP, check);
          else {
            const one = contest.all[what.who]!;
            if (what.do === "fate") one.fate = what.fate;
            else if (what.do === "heal") one.fate = AT_ONCE;
            else if (what.do === "stop") one.clock.stop();
            else if (what.do === "goOn") one.clock.goOn();
            else if (what.do === "want") one.want();
            else if (what.do === "remove") contest.api.remove();
            else void one.lease.release();
          }
          await microtasks();
          check();
        }
        for (const one of contest.all) {
          one.fate = AT_ONCE;
          one.clock.goOn();
        }
        // what is under way arrives; one of them gets it then, and only one
        await contest.pass(3 * TTL, check);
        for (const one of contest.all) one.want();
        await contest.pass(5 * TTL, check);
        expect(contest.held.filter(Boolean)).toHaveLength(1);
      }),
      { numRuns: 60 },
    );
  });

  const wrong: readonly [string, Parameters<typeof kubernetesLease>[0]][] = [
    ["a name that no object can have", { name: "isthmus/Berlin" }],
    ["a namespace that is none", { name: "a", namespace: "../kube-system" }],
    ["an address without a scheme", { name: "a", url: "kubernetes:6443" }],
    ["an address with a path", { name: "a", url: "https://kubernetes:6443/api" }],
    ["a token over plain HTTP", { name: "a", url: "http://kubernetes:8001", token: "t" }],
    ["two tokens", { name: "a", token: "t", tokenFile: "/t" }],
    ["a time to live that is too short", { name: "a", ttlMs: 2_000 }],
  ];
  it.each(wrong)("refuses %s", (_what, options) => {
    expect(() => kubernetesLease(options)).toThrow(
      expect.objectContaining({ code: "LEASE_OPTIONS_INVALID" }),
    );
  });
});
