import type { Duplex } from "node:stream";
import type { HandshakeOutcome } from "@isthmus/dist-handshake";
import type { IsthmusError } from "@isthmus/wire";
import { BRIDGE_FLAGS } from "../../src/membership.ts";
import { Joint } from "../../src/sites/joint.ts";
import { type ClusterPair, clusterPairs } from "../../src/sites/pair.ts";
import { trunkError } from "../../src/trunk/errors.ts";
import type { TrunkLimits } from "../../src/trunk/limits.ts";
import type { TrunkLink, TrunkSink } from "../../src/trunk/link.ts";
import { TwoSites } from "../trunk/two-sites.ts";

const own = { node: "bridge@h", cookie: "c" };

/** The same pair as the north and the south see it. */
export const PAIR: ClusterPair = clusterPairs({
  clusters: { shop: own, billing: { site: "south" } },
  trunk: { site: "north", sites: { south: {} } },
})[0]!;
export const THEIRS: ClusterPair = clusterPairs({
  clusters: { billing: own, shop: { site: "north" } },
  trunk: { site: "south", sites: { north: {} } },
})[0]!;

/** One side: a joint for each session, and the streams that came of them. */
class Side implements TrunkSink {
  readonly refusals: string[] = [];
  readonly outcomes: HandshakeOutcome[] = [];
  stream: Duplex | undefined;
  /** What came on the present stream. */
  text = "";
  /** Reads as it comes. */
  reading = true;
  ended = false;
  failure: IsthmusError | undefined;
  joint: Joint | undefined;
  readonly #pair: ClusterPair;
  readonly #creation: number;
  readonly #sites: () => TwoSites;

  constructor(pair: ClusterPair, creation: number, sites: () => TwoSites) {
    this.#pair = pair;
    this.#creation = creation;
    this.#sites = sites;
  }

  up(link: TrunkLink): void {
    this.joint = new Joint({
      ...{ link, pair: this.#pair, clock: this.#sites().clock },
      ours: { creation: this.#creation, flags: BRIDGE_FLAGS },
      joined: ({ stream, outcome }) => this.#joined(stream, outcome),
      refused: ({ code }) => this.refusals.push(code),
    });
    this.joint.greet();
  }
  suspended(): void {}
  resumed(): void {}
  lost(_link: TrunkLink, reason: IsthmusError): void {
    this.joint?.end(reason);
    this.joint = undefined;
  }
  data(_link: TrunkLink, channel: string, bytes: Buffer, more: boolean): void {
    if (channel === this.#pair.incoming) this.joint?.receive(bytes, more);
  }
  denied(_link: TrunkLink, channel: string, reason: IsthmusError, cut: boolean): void {
    if (channel === this.#pair.outgoing && cut) this.joint?.outgoingCut(reason);
  }
  cut(_link: TrunkLink, channel: string): void {
    if (channel === this.#pair.incoming) this.joint?.incomingCut(trunkError("TRUNK_DENIED", "cut"));
  }
  writable(_link: TrunkLink, channel: string): void {
    if (channel === this.#pair.outgoing) this.joint?.writable();
  }

  #joined(stream: Duplex, outcome: HandshakeOutcome): void {
    this.stream = stream;
    this.outcomes.push(outcome);
    this.text = "";
    this.ended = false;
    this.failure = undefined;
    stream.on("error", (error) => {
      this.failure = error as IsthmusError;
    });
    stream.on("end", () => {
      this.ended = true;
    });
    stream.on("data", (bytes: Buffer) => {
      this.text += bytes.toString("latin1");
    });
    if (!this.reading) stream.pause();
  }
}

/** Two bridges of two sites in memory. Time and messages move when the test says so. */
export class TwoJoints {
  readonly north: Side;
  readonly south: Side;
  readonly sites: TwoSites;

  constructor(limits: Partial<TrunkLimits> = {}) {
    const sites = (): TwoSites => this.sites;
    this.north = new Side(PAIR, 11, sites);
    this.south = new Side(THEIRS, 22, sites);
    this.sites = new TwoSites(
      { sink: this.north, parts: true, limits },
      { sink: this.south, parts: true, limits },
    );
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    for (let i = 0; i < 10; i++) {
      await this.sites.settle();
      // streams do much at the end of a turn
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async pass(ms: number): Promise<void> {
    await this.sites.pass(ms);
    await this.settle();
  }
}
