import { CHUNK_BYTES, FRAME_COST } from "./frames.ts";

/** A payload, or the rest of one, that waits for credit. */
interface Waiting {
  bytes: Buffer;
  more: boolean;
}

/** One direction of a channel, seen by who sends: what waits, and how much may still be sent. */
export class OutgoingChannel {
  readonly name: string;
  readonly number: number;
  /** What waits here, not yet given a sequence number: its bytes, and what each payload costs besides. */
  queuedBytes = 0;
  /** Someone was told to stop, and waits to be told to go on. */
  blocked = false;
  /** Whether DATA comes through to the peer; while it does not, it waits. */
  open = true;
  /** Nothing is sent on it any more; a channel of the same name may come after it. */
  cut = false;
  /** Sequence number of its last DATA frame. */
  lastSeq = 0;
  /** Length so far of a payload that is sent in parts; 0 between payloads. */
  partBytes = 0;
  #credit: number;
  #spent = 0;
  #queue: Waiting[] = [];
  #head = 0;

  /** @param credit what the peer gives each channel at first */
  constructor(name: string, number: number, credit: number) {
    this.name = name;
    this.number = number;
    this.#credit = credit;
  }

  get empty(): boolean {
    return this.#head === this.#queue.length;
  }

  /** Whether a frame with so many bytes may be sent now. */
  affords(bytes: number): boolean {
    return this.open && this.#spent + bytes + FRAME_COST <= this.#credit;
  }

  spend(bytes: number): void {
    this.#spent += bytes + FRAME_COST;
  }

  /** @param limit see CREDIT; one that came out of order does not lower it */
  grant(limit: number): void {
    this.#credit = Math.max(this.#credit, limit);
  }

  /** Forgets what waits. */
  clear(): void {
    this.#queue = [];
    this.#head = this.queuedBytes = this.partBytes = 0;
    this.blocked = false;
  }

  /** Keeps `bytes`, which must not be changed any more. */
  enqueue(bytes: Buffer, more: boolean): void {
    this.#queue.push({ bytes, more });
    this.queuedBytes += bytes.length + FRAME_COST;
  }

  /** The next frame's bytes if there is credit for them, taken from the queue. */
  take(): Waiting | undefined {
    const first = this.#queue[this.#head];
    if (first === undefined) return undefined;
    const size = Math.min(first.bytes.length, CHUNK_BYTES);
    if (!this.affords(size)) return undefined;
    this.queuedBytes -= size;
    if (first.bytes.length > size) {
      const chunk = { bytes: first.bytes.subarray(0, size), more: true };
      first.bytes = first.bytes.subarray(size);
      return chunk;
    }
    this.queuedBytes -= FRAME_COST;
    this.#queue[this.#head++] = undefined as never;
    if (this.empty) this.#queue.length = this.#head = 0;
    else if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue.splice(0, this.#head);
      this.#head = 0;
    }
    return first;
  }
}
