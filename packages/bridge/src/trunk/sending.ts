import { constants, deflateRawSync } from "node:zlib";
import { encodeFrame, encodeMessage, malformed } from "./codec.ts";
import type { SessionCounters } from "./counters.ts";
import { trunkError } from "./errors.ts";
import { CHUNK_BYTES, DATA_FLAG, KIND, type SessionTerms } from "./frames.ts";
import type { TrunkLimits } from "./limits.ts";
import { OutgoingChannel } from "./outgoing-channel.ts";
import { CONTROL, ResendBuffer } from "./resend-buffer.ts";

/** The sending half of a session: payloads in, numbered frames out, each kept until it is acknowledged. */
export class Sending {
  readonly #terms: SessionTerms;
  readonly #limits: TrunkLimits;
  readonly #counters: SessionCounters;
  readonly #frames: ResendBuffer;
  readonly #channels: OutgoingChannel[] = [];
  readonly #byName = new Map<string, OutgoingChannel>();
  /** Those with something in their queue, in the order of their turns. */
  readonly #queued = new Set<OutgoingChannel>();
  /** Names of channels whose DATA does not come through. */
  readonly #denied = new Set<string>();
  /** Asks whether a channel's DATA comes through, where each has a way of its own. */
  #ask: ((channel: string) => void) | undefined;

  constructor(terms: SessionTerms, limits: TrunkLimits, counters: SessionCounters) {
    this.#terms = terms;
    this.#limits = limits;
    this.#counters = counters;
    this.#frames = new ResendBuffer(limits.maxUnackedBytes, limits.maxUnackedFrames);
  }

  /** Everything that was sent has been acknowledged. */
  get idle(): boolean {
    return this.#queued.size === 0 && this.#frames.acknowledged === this.#frames.lastSeq;
  }

  /** Something waits for credit, or for room among what is not acknowledged. */
  get waiting(): boolean {
    return this.#queued.size > 0;
  }

  /** Bytes held: not acknowledged, and waiting for credit. */
  get bytes(): number {
    let bytes = this.#frames.bytes;
    for (const channel of this.#queued) bytes += channel.queuedBytes;
    return bytes;
  }

  /**
   * Takes a payload, or a part of one: `more` says that it goes on with the channel's next call. The bytes are copied,
   * unless they are `constant`: never changed afterwards.
   * @throws IsthmusError `TRUNK_BACKLOG`, `TRUNK_PAYLOAD_TOO_LARGE`, `TRUNK_CHANNELS`; nothing was taken then
   */
  send(name: string, bytes: Buffer, more: boolean, constant: boolean): void {
    const channel = this.#byName.get(name) ?? this.#open(name);
    this.#check(channel, bytes.length);
    channel.partBytes = more ? channel.partBytes + bytes.length : 0;
    this.#counters.bytesSent += bytes.length;
    if (!more) this.#counters.payloadsSent++;
    const fits = bytes.length <= CHUNK_BYTES && channel.affords(bytes.length);
    if (channel.empty && fits && !this.#frames.full) {
      this.#append(channel, bytes, more);
      return;
    }
    channel.enqueue(constant ? bytes : Buffer.from(bytes), more);
    this.#queued.add(channel);
    if (channel.queuedBytes > this.#limits.highWaterBytes) channel.blocked = true;
  }

  blocked(name: string): boolean {
    return this.#byName.get(name)?.blocked ?? false;
  }

  /** Gives sequence numbers to what waits, one frame of each channel in turn, as far as credit and memory go. */
  fill(): void {
    for (const channel of this.#queued) {
      if (this.#frames.full) return;
      const chunk = channel.take();
      if (chunk === undefined) continue;
      // a set is walked in the order of insertion, and what is added meanwhile comes last: everyone in turn
      this.#queued.delete(channel);
      this.#append(channel, chunk.bytes, chunk.more);
      if (!channel.empty) this.#queued.add(channel);
    }
  }

  /** The next frames to send, as one message. */
  next(): Buffer | undefined {
    return this.#frames.next();
  }

  /** The same where each channel's DATA has a way of its own. @returns the channel, for DATA */
  nextApart(): { readonly message: Buffer; readonly channel?: string } | undefined {
    const number = this.#frames.nextChannel;
    const channel = number === undefined || number === CONTROL ? undefined : this.#channels[number]!;
    if (channel !== undefined && !channel.cut && !channel.open) return undefined;
    const run = this.#frames.nextRun();
    if (run === undefined) return undefined;
    if (channel === undefined) return { message: run.message };
    if (channel.cut) return { message: encodeMessage(KIND.SKIP, run.firstSeq, run.lastSeq) };
    return { message: run.message, channel: channel.name };
  }

  /** Channels whose DATA does not come through. */
  get denied(): readonly string[] {
    return [...this.#denied];
  }

  /** A channel's DATA comes through. @returns whether it is known to have been otherwise */
  allowed(name: string): boolean {
    const channel = this.#byName.get(name);
    if (channel !== undefined) channel.open = true;
    return this.#denied.delete(name);
  }

  /**
   * A channel's DATA does not come through: it waits. The channel is cut when it can never be whole again, because some
   * of it is lost or waits elsewhere for its end.
   * @returns whether that is news, and whether it is cut
   */
  deny(name: string): { readonly news: boolean; readonly cut: boolean } {
    const news = !this.#denied.has(name);
    this.#denied.add(name);
    const channel = this.#byName.get(name);
    if (channel === undefined) return { news, cut: false };
    channel.open = false;
    const begun =
      channel.lastSeq > 0 && (channel.partBytes > 0 || channel.lastSeq > this.#frames.acknowledged);
    if (begun) this.cut(name);
    return { news, cut: begun };
  }

  /** Ends a channel: what waits is forgotten, and what comes after it is of a new one with the same name. */
  cut(name: string): void {
    const channel = this.#byName.get(name);
    if (channel === undefined) return;
    channel.cut = true;
    channel.clear();
    this.#queued.delete(channel);
    this.#byName.delete(name);
    this.#frames.append(encodeFrame(KIND.CUT, this.#frames.nextSeq, channel.number));
  }

  /** Names the channels that were blocked, and are not any more. */
  unblock(writable: (channel: string) => void): void {
    for (const channel of this.#channels) {
      if (!channel.blocked || channel.queuedBytes > this.#limits.highWaterBytes / 2) continue;
      channel.blocked = false;
      writable(channel.name);
    }
  }

  /** @throws IsthmusError `TRUNK_PROTOCOL` when it was never sent */
  acknowledged(seq: number): void {
    if (!this.#frames.acknowledge(seq)) throw malformed("it has received more than was sent");
  }

  /**
   * Everything that is not acknowledged is to be sent again, over another wire.
   * @param check asks whether a channel's DATA comes through; undefined where there is no question
   */
  again(check: ((channel: string) => void) | undefined): void {
    this.#counters.resent += this.#frames.rewind();
    this.#ask = check;
    if (check === undefined) this.#denied.clear();
    for (const channel of this.#byName.values()) channel.open = check === undefined;
    if (check !== undefined) for (const name of this.#byName.keys()) check(name);
  }

  /** @throws IsthmusError `TRUNK_PROTOCOL` when there is no such channel */
  granted(number: number, limit: number): void {
    const channel = this.#channels[number];
    if (channel === undefined) throw malformed("it gives credit for a channel that is not open");
    channel.grant(limit);
  }

  #open(name: string): OutgoingChannel {
    const number = this.#channels.length;
    const { peerChannels, peerWindow } = this.#terms;
    if (number >= peerChannels) {
      throw trunkError(
        "TRUNK_CHANNELS",
        `The far site takes ${peerChannels} channels; ${name} would be one more.`,
        { context: { channel: name, limit: peerChannels } },
      );
    }
    const channel = new OutgoingChannel(name, number, peerWindow);
    this.#byName.set(name, channel);
    this.#channels.push(channel);
    this.#frames.append(encodeFrame(KIND.OPEN, this.#frames.nextSeq, number, name));
    channel.open = this.#ask === undefined;
    this.#ask?.(name);
    return channel;
  }

  #check(channel: OutgoingChannel, length: number): void {
    const { peerPayload } = this.#terms;
    if (peerPayload > 0 && channel.partBytes + length > peerPayload) {
      throw trunkError(
        "TRUNK_PAYLOAD_TOO_LARGE",
        `The far site takes payloads of ${peerPayload} bytes at most; this one has ${channel.partBytes + length} or more.`,
        { context: { channel: channel.name, length, limit: peerPayload } },
      );
    }
    const limit = this.#limits.maxQueuedBytes;
    if (channel.queuedBytes > 0 && channel.queuedBytes + length > limit) {
      throw trunkError(
        "TRUNK_BACKLOG",
        `${channel.queuedBytes} bytes wait on channel ${channel.name}, and at most ${limit} may. Stop sending while it is blocked.`,
        { context: { channel: channel.name, waiting: channel.queuedBytes, limit } },
      );
    }
  }

  #append(channel: OutgoingChannel, bytes: Buffer, more: boolean): void {
    channel.spend(bytes.length);
    channel.lastSeq = this.#frames.nextSeq;
    const flags = more ? DATA_FLAG.MORE : 0;
    if (this.#terms.deflate && bytes.length >= this.#limits.deflateFromBytes) {
      const deflated = deflateRawSync(bytes, { level: constants.Z_BEST_SPEED });
      if (deflated.length < bytes.length) {
        this.#counters.saved += bytes.length - deflated.length;
        const all = flags | DATA_FLAG.DEFLATED;
        this.#frames.appendData(channel.number, all, deflated);
        return;
      }
    }
    this.#frames.appendData(channel.number, flags, bytes);
  }
}
