import { inflateRawSync } from "node:zlib";
import { bytesField, countField, type Frame, isName, malformed, textField } from "./codec.ts";
import type { SessionCounters } from "./counters.ts";
import type { DataFrame } from "./data-frame.ts";
import { trunkError } from "./errors.ts";
import { CHUNK_BYTES, DATA_FLAG, KIND, type SessionTerms } from "./frames.ts";
import { IncomingChannel } from "./incoming-channel.ts";
import type { TrunkLimits } from "./limits.ts";

/** Options of {@link Receiving}. */
export interface ReceivingOptions {
  readonly terms: SessionTerms;
  readonly limits: TrunkLimits;
  readonly counters: SessionCounters;
  /** Hand over the parts of payloads as they come, instead of whole payloads. */
  readonly parts: boolean;
  /** Whether a channel that the peer opens is paused. */
  readonly isPaused: (channel: string) => boolean;
  /** Takes a payload or a part of one. */
  readonly deliver: (channel: string, bytes: Buffer, more: boolean) => void;
  /** Nothing more comes on a channel. */
  readonly cut: (channel: string) => void;
  /** There is credit to give. */
  readonly creditDue: () => void;
}

/** The receiving half of a session: numbered frames in, payloads out, each once and in the order of its channel. */
export class Receiving {
  /** Sequence number of the last frame that came. */
  received = 0;
  readonly #options: ReceivingOptions;
  /** Undefined for one that was cut. */
  readonly #channels: (IncomingChannel | undefined)[] = [];
  readonly #byName = new Map<string, IncomingChannel>();
  readonly #creditsDue = new Set<IncomingChannel>();
  #ended = false;

  constructor(options: ReceivingOptions) {
    this.#options = options;
  }

  /** Bytes held that were not handed over. */
  get bytes(): number {
    return this.#channels.reduce((bytes, channel) => bytes + (channel?.heldBytes ?? 0), 0);
  }

  /**
   * Takes a frame with a number; ignores one that came before.
   * @throws IsthmusError `TRUNK_GAP` when some are missing before it; `TRUNK_PROTOCOL`, `TRUNK_CONSUMER_FAILED`
   */
  take(frame: Frame): void {
    if (!this.#isNext(countField(frame, 1))) return;
    if (frame[0] === KIND.DATA) this.#data(countField(frame, 2), countField(frame, 3), bytesField(frame, 4));
    else if (frame[0] === KIND.OPEN) this.#opened(frame);
    else if (frame[0] === KIND.CUT) this.#cut(frame);
    else this.#skipped(frame);
  }

  /** The same for a DATA frame that was read already. @throws IsthmusError as {@link Receiving.take} */
  takeData(message: Buffer, { seq, channel, flags, start, end }: DataFrame): void {
    if (this.#isNext(seq)) this.#data(channel, flags, message.subarray(start, end));
  }

  /** Counts a frame. @returns false for one that came before */
  #isNext(seq: number): boolean {
    if (seq <= this.received) {
      this.#options.counters.repeated++;
      return false;
    }
    if (seq !== this.received + 1) {
      throw trunkError("TRUNK_GAP", `Frames ${this.received + 1} to ${seq - 1} were lost on the way.`, {
        context: { expected: this.received + 1, came: seq },
      });
    }
    this.received = seq;
    return true;
  }

  /** Whether there is credit to be given. */
  get creditDue(): boolean {
    return this.#creditsDue.size > 0;
  }

  /** Credits that are to be given now. */
  *credits(): Generator<readonly [channel: number, limit: number], void, undefined> {
    for (const channel of this.#creditsDue) yield [channel.number, channel.grant()];
    this.#creditsDue.clear();
  }

  /** All credits are to be given again: one that was lost with a connection would be missed for ever. */
  again(): void {
    for (const channel of this.#byName.values()) this.#creditsDue.add(channel);
  }

  pause(name: string): void {
    const channel = this.#byName.get(name);
    if (channel !== undefined) channel.paused = true;
  }

  /** @throws IsthmusError as {@link Receiving.take} */
  resume(name: string): void {
    const channel = this.#byName.get(name);
    if (channel === undefined) return;
    channel.paused = false;
    // whoever is handing over at this moment goes on by itself
    if (!channel.delivering) this.#drain(channel);
  }

  /** Hands over nothing any more. */
  end(): void {
    this.#ended = true;
  }

  #opened(frame: Frame): void {
    const number = countField(frame, 2);
    const name = textField(frame, 3);
    const { maxChannels, windowBytes } = this.#options.limits;
    if (number !== this.#channels.length || number >= maxChannels) {
      throw malformed(`channel ${number} cannot be opened`);
    }
    if (!isName(name) || this.#byName.has(name)) throw malformed("a channel has no name of its own");
    const channel = new IncomingChannel(name, number, windowBytes, this.#options.isPaused(name));
    this.#channels.push(channel);
    this.#byName.set(name, channel);
  }

  #cut(frame: Frame): void {
    const number = countField(frame, 2);
    const channel = this.#channels[number];
    if (channel === undefined) throw malformed("a channel is cut that is not open");
    this.#channels[number] = undefined;
    this.#byName.delete(channel.name);
    this.#creditsDue.delete(channel);
    channel.clear();
    this.#options.cut(channel.name);
  }

  #skipped(frame: Frame): void {
    const last = countField(frame, 2);
    if (last < this.received) throw malformed("frames are skipped backwards");
    this.received = last;
  }

  #data(number: number, flags: number, came: Buffer): void {
    const channel = this.#channels[number];
    if (channel === undefined) throw malformed("data came for a channel that is not open");
    const bytes = this.#inflated(came, (flags & DATA_FLAG.DEFLATED) !== 0);
    const more = (flags & DATA_FLAG.MORE) !== 0;
    channel.arrived(bytes.length);
    const { counters } = this.#options;
    counters.bytesReceived += bytes.length;
    if (!more) counters.payloadsReceived++;
    if (channel.paused || channel.delivering || channel.waiting) channel.keep(bytes, more);
    else {
      this.#hand(channel, bytes, more);
      this.#drain(channel);
    }
  }

  #inflated(bytes: Buffer, deflated: boolean): Buffer {
    if (!deflated) return bytes;
    if (!this.#options.terms.deflate) throw malformed("a frame is deflated, which was not agreed");
    try {
      return inflateRawSync(bytes, { maxOutputLength: CHUNK_BYTES });
    } catch (cause) {
      throw malformed("a frame cannot be inflated within the limits", cause);
    }
  }

  #drain(channel: IncomingChannel): void {
    while (!channel.paused && !this.#ended) {
      const part = channel.shift();
      if (part === undefined) return;
      this.#hand(channel, part.bytes, part.more);
    }
  }

  #hand(channel: IncomingChannel, bytes: Buffer, more: boolean): void {
    const { parts, limits, deliver, creditDue } = this.#options;
    if (channel.consumed(bytes.length)) {
      this.#creditsDue.add(channel);
      creditDue();
    }
    const payload = parts ? bytes : channel.gather(bytes, more, limits.maxPayloadBytes);
    if (payload === undefined) return;
    channel.delivering = true;
    try {
      deliver(channel.name, payload, parts && more);
    } catch (cause) {
      throw trunkError(
        "TRUNK_CONSUMER_FAILED",
        `A payload of channel ${channel.name} could not be taken: the trunk cannot go on without it.`,
        { cause, context: { channel: channel.name } },
      );
    } finally {
      channel.delivering = false;
    }
  }
}
