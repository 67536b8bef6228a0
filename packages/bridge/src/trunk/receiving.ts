import { inflateRawSync } from "node:zlib";
import { bytesField, countField, type Frame, isName, malformed, textField } from "./codec.ts";
import type { SessionCounters } from "./counters.ts";
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
  /** There is credit to give. */
  readonly creditDue: () => void;
}

/** The receiving half of a session: numbered frames in, payloads out, each once and in the order of its channel. */
export class Receiving {
  /** Sequence number of the last frame that came. */
  received = 0;
  readonly #options: ReceivingOptions;
  readonly #channels: IncomingChannel[] = [];
  readonly #byName = new Map<string, IncomingChannel>();
  readonly #creditsDue = new Set<IncomingChannel>();
  #ended = false;

  constructor(options: ReceivingOptions) {
    this.#options = options;
  }

  /** Bytes held that were not handed over. */
  get bytes(): number {
    return this.#channels.reduce((bytes, channel) => bytes + channel.heldBytes, 0);
  }

  /**
   * Takes an OPEN or a DATA frame; ignores one that came before.
   * @throws IsthmusError `TRUNK_GAP` when some are missing before it; `TRUNK_PROTOCOL`, `TRUNK_CONSUMER_FAILED`
   */
  take(frame: Frame): void {
    const seq = countField(frame, 1);
    if (seq <= this.received) {
      this.#options.counters.repeated++;
      return;
    }
    if (seq !== this.received + 1) {
      throw trunkError("TRUNK_GAP", `Frames ${this.received + 1} to ${seq - 1} were lost on the way.`, {
        context: { expected: this.received + 1, came: seq },
      });
    }
    this.received = seq;
    if (frame[0] === KIND.OPEN) this.#opened(frame);
    else this.#data(frame);
  }

  /** Credits that are to be given now. */
  *credits(): Generator<readonly [channel: number, limit: number], void, undefined> {
    for (const channel of this.#creditsDue) yield [channel.number, channel.grant()];
    this.#creditsDue.clear();
  }

  /** All credits are to be given again: one that was lost with a connection would be missed for ever. */
  again(): void {
    for (const channel of this.#channels) this.#creditsDue.add(channel);
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

  #data(frame: Frame): void {
    const channel = this.#channels[countField(frame, 2)];
    if (channel === undefined) throw malformed("data came for a channel that is not open");
    const flags = countField(frame, 3);
    const bytes = this.#inflated(bytesField(frame, 4), (flags & DATA_FLAG.DEFLATED) !== 0);
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
