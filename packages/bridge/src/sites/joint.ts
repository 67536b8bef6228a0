import type { Dialled } from "@isthmus/core";
import { type Clock, type IsthmusError, isIsthmusError, type Timer } from "@isthmus/wire";
import { malformed } from "../trunk/codec.ts";
import type { TrunkLink } from "../trunk/link.ts";
import { ChannelStream } from "./channel-stream.ts";
import {
  decodeHello,
  decodeVerdict,
  encodeAccept,
  encodeHello,
  encodeRefuse,
  type Introduced,
  isRefusal,
} from "./greeting.ts";
import type { ClusterPair } from "./pair.ts";

/** After a connection that ended while the trunk stayed, the bridges greet each other again so much later. */
const AGAIN_MS = 1_000;

/** What comes next from the other bridge; "cut": what is left of a channel that it will cut. */
type Expected = "hello" | "verdict" | "stream" | "cut" | "nothing";

/** What a {@link Joint} needs. */
export interface JointOptions {
  readonly link: TrunkLink;
  readonly pair: ClusterPair;
  readonly ours: Introduced;
  readonly clock: Clock;
  /** Both bridges have accepted each other. */
  readonly joined: (ready: Dialled) => void;
  /** They do not fit together; nothing comes of it before the next session. */
  readonly refused: (reason: IsthmusError) => void;
}

/**
 * Two bridges in one session of the trunk, as far as one pair of clusters is concerned: they greet each other, and then
 * have a stream, until one of them ends it; after which they begin anew.
 */
export class Joint {
  readonly #options: JointOptions;
  #expected: Expected = "hello";
  #greeted = false;
  /** Something came on the channel to us since it began. */
  #heard = false;
  #theirs: Introduced | undefined;
  #stream: ChannelStream | undefined;
  /** Our direction of the last stream is over. */
  #ended = true;
  #again: Timer | undefined;

  constructor(options: JointOptions) {
    this.#options = options;
  }

  /** Begins. */
  greet(): void {
    this.#again?.cancel();
    if (this.#greeted) return;
    this.#greeted = true;
    const { pair, ours } = this.#options;
    this.#send(encodeHello(pair, ours));
  }

  /** A part of a payload of the other bridge. */
  receive(bytes: Buffer, more: boolean): void {
    this.#heard = true;
    switch (this.#expected) {
      case "hello":
        this.#try(more, () => this.#hear(bytes), bytes);
        return;
      case "verdict":
        this.#try(more, () => this.#accepted(bytes), bytes);
        return;
      case "stream":
        if (more) this.#stream?.receive(bytes);
        else this.#over();
        return;
      case "cut":
      case "nothing":
    }
  }

  /** Some of what we sent is lost: both bridges begin anew. */
  outgoingCut(reason: IsthmusError): void {
    if (this.#expected === "nothing") return;
    this.#stream?.cut(reason);
    // the other bridge cuts its channel when it hears of it
    this.#beginAnew(this.#heard ? "cut" : "hello");
  }

  /** Some of what came is lost, or the other bridge begins anew. */
  incomingCut(reason: IsthmusError): void {
    this.#heard = false;
    if (this.#expected === "nothing") return;
    if (this.#expected === "cut") {
      this.#expected = "hello";
      return;
    }
    const { link, pair } = this.#options;
    this.#stream?.cut(reason);
    link.cut(pair.outgoing);
    this.#beginAnew("hello");
  }

  /** The channel takes more. */
  writable(): void {
    this.#stream?.writableAgain();
  }

  /** The session is over. */
  end(reason: IsthmusError): void {
    this.#expected = "nothing";
    this.#again?.cancel();
    this.#stream?.cut(reason);
  }

  #hear(bytes: Buffer): void {
    const { pair } = this.#options;
    this.#theirs = decodeHello(bytes, pair);
    this.greet();
    this.#expected = "verdict";
    this.#send(encodeAccept());
  }

  #accepted(bytes: Buffer): void {
    decodeVerdict(bytes);
    const { link, pair, ours, joined } = this.#options;
    const { creation, flags } = this.#theirs!;
    const stream: ChannelStream = new ChannelStream({
      ...{ link, outgoing: pair.outgoing, incoming: pair.incoming },
      onEnded: () => {
        this.#ended = true;
        this.#restart();
      },
    });
    this.#stream = stream;
    this.#ended = false;
    this.#expected = "stream";
    joined({
      stream,
      outcome: {
        ...{ peer: pair.peer, peerCreation: creation, peerFlags: flags, flags: ours.flags & flags },
        ...{ localName: pair.node, localCreation: ours.creation },
        ...{ hidden: true, version: 6, replacesOld: false },
      },
      rest: Buffer.alloc(0),
    });
  }

  /** The other bridge has ended its direction of the stream. */
  #over(): void {
    this.#expected = "hello";
    this.#stream?.receiveEnd();
    this.#restart();
  }

  /** Greets again once both directions are over. */
  #restart(): void {
    if (this.#ended && this.#expected === "hello") this.#beginAnew("hello");
  }

  #beginAnew(expected: "hello" | "cut"): void {
    this.#expected = expected;
    this.#stream = undefined;
    this.#theirs = undefined;
    this.#greeted = false;
    this.#ended = true;
    this.#again?.cancel();
    this.#again = this.#options.clock.after(AGAIN_MS, () => this.greet());
  }

  #try(more: boolean, run: () => void, bytes: Buffer): void {
    try {
      if (more) throw malformed("a greeting is too long");
      run();
    } catch (error) {
      if (!isIsthmusError(error)) throw error;
      this.#expected = "nothing";
      // whoever refuses is not refused for it
      if (more || !isRefusal(bytes)) this.#send(encodeRefuse(error));
      this.#options.refused(error);
    }
  }

  #send(bytes: Buffer): void {
    const { link, pair, refused } = this.#options;
    try {
      link.send(pair.outgoing, bytes);
    } catch (error) {
      if (!isIsthmusError(error)) throw error;
      this.#expected = "nothing";
      refused(error);
    }
  }
}
