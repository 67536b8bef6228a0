import type { IsthmusError } from "@isthmus/wire";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { type AcceptOptions, TrunkAcceptor } from "../../src/trunk/acceptor.ts";
import { type DialOptions, dialTrunk } from "../../src/trunk/dial.ts";
import type { TrunkLink, TrunkSink } from "../../src/trunk/link.ts";
import { Cable } from "./cable.ts";

/** Remembers what a link told. */
export class Notebook implements TrunkSink {
  /** "up", "data c hello", "lost CODE" and the like, in order. */
  readonly lines: string[] = [];
  readonly payloads: { readonly channel: string; readonly bytes: Buffer; readonly more: boolean }[] = [];
  onData: ((channel: string, bytes: Buffer) => void) | undefined;
  reason: IsthmusError | undefined;

  up(): void {
    this.lines.push("up");
  }
  suspended(_link: TrunkLink, reason: IsthmusError): void {
    this.lines.push(`suspended ${reason.code}`);
  }
  resumed(): void {
    this.lines.push("resumed");
  }
  lost(_link: TrunkLink, reason: IsthmusError): void {
    this.reason = reason;
    this.lines.push(`lost ${reason.code}`);
  }
  data(_link: TrunkLink, channel: string, bytes: Buffer, more: boolean): void {
    const copy = Buffer.from(bytes);
    this.payloads.push({ channel, bytes: copy, more });
    this.lines.push(`data ${channel} ${copy.length > 40 ? copy.length : copy.toString("latin1")}`);
    this.onData?.(channel, copy);
  }
  denied(_link: TrunkLink, channel: string, reason: IsthmusError, cut: boolean): void {
    this.lines.push(`denied ${channel} ${reason.code}${cut ? " cut" : ""}`);
  }
  cut(_link: TrunkLink, channel: string): void {
    this.lines.push(`cut ${channel}`);
  }
  writable(_link: TrunkLink, channel: string): void {
    this.lines.push(`writable ${channel}`);
  }
  /** What came on a channel, as text. */
  texts(channel: string): string[] {
    return this.payloads
      .filter((one) => one.channel === channel)
      .map(({ bytes }) => bytes.toString("latin1"));
  }
}

export const SECRET = "a secret of the two sites";

/** Two sites in memory: `north` dials, `south` accepts. Time and messages move when the test says so. */
export class TwoSites {
  readonly clock = new FakeClock();
  readonly north = new Notebook();
  readonly south = new Notebook();
  readonly acceptor: TrunkAcceptor;
  readonly dialed: TrunkLink;
  readonly accepted: TrunkLink;
  /** False while there is no way between the sites. */
  reachable = true;
  cable: Cable | undefined;
  readonly #deferred: (() => void)[] = [];

  constructor(
    dial: Partial<DialOptions> = {},
    accept: Partial<AcceptOptions> = {},
    names: ConstructorParameters<typeof Cable>[0] = {},
  ) {
    const common = {
      clock: this.clock,
      defer: (run: () => void) => void this.#deferred.push(run),
    };
    this.acceptor = new TrunkAcceptor({ site: "south", ...common });
    this.accepted = this.acceptor.accept({ peer: "north", secret: SECRET, sink: this.south, ...accept });
    this.dialed = dialTrunk({
      ...common,
      ...{ site: "north", peer: "south", secret: SECRET, sink: this.north, random: () => 0 },
      open: async () => {
        if (!this.reachable) throw new Error("no route");
        this.cable = new Cable(names);
        this.acceptor.take(this.cable.accepting);
        return this.cable.dialing;
      },
      ...dial,
    });
  }

  /** Runs what waits for the end of the turn. @returns whether there was something */
  turn(): boolean {
    const some = this.#deferred.splice(0);
    for (const run of some) run();
    return some.length > 0;
  }

  /** Lets promises run. */
  async microtasks(): Promise<void> {
    for (let i = 0; i < 20; i++) await Promise.resolve();
  }

  /** Delivers everything that is under way, without time passing. */
  async settle(): Promise<void> {
    await this.microtasks();
    this.cable?.settle(() => this.turn());
    await this.microtasks();
  }

  /** Lets time pass in steps, delivering everything meanwhile. */
  async pass(ms: number, step = 50): Promise<void> {
    for (let passed = 0; passed < ms; passed += step) {
      this.clock.advance(Math.min(step, ms - passed));
      await this.settle();
    }
  }
}
