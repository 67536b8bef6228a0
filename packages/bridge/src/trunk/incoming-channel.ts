import { malformed } from "./codec.ts";
import { FRAME_COST } from "./frames.ts";

const EMPTY = Buffer.alloc(0);

/** Bytes of a payload as they came in one frame. */
interface Part {
  readonly bytes: Buffer;
  readonly more: boolean;
}

/** One direction of a channel, seen by who receives: what came, and how much more may come. */
export class IncomingChannel {
  readonly name: string;
  readonly number: number;
  /** While true nothing is handed over, and no credit given back. */
  paused: boolean;
  /** Payload bytes are being handed over at this moment. */
  delivering = false;
  readonly #window: number;
  #came = 0;
  #consumed = 0;
  #granted: number;
  #waiting: Part[] = [];
  #head = 0;
  #gathered: Buffer = EMPTY;
  #gatheredBytes = 0;

  constructor(name: string, number: number, window: number, paused: boolean) {
    this.name = name;
    this.number = number;
    this.paused = paused;
    this.#window = window;
    this.#granted = window;
  }

  /** Whether parts wait to be handed over. */
  get waiting(): boolean {
    return this.#head < this.#waiting.length;
  }

  /** Bytes held, of parts that wait and of a payload that is not complete. */
  get heldBytes(): number {
    return this.#came - this.#consumed + this.#gatheredBytes;
  }

  /** Counts a frame of so many bytes. @throws IsthmusError `TRUNK_PROTOCOL` when the peer had no credit for it */
  arrived(bytes: number): void {
    this.#came += bytes + FRAME_COST;
    if (this.#came > this.#granted) throw malformed(`channel ${this.number} was sent more than its credit`);
  }

  keep(bytes: Buffer, more: boolean): void {
    // a copy: a few bytes must not keep the whole message they came in
    this.#waiting.push({ bytes: Buffer.from(bytes), more });
  }

  shift(): Part | undefined {
    const part = this.#waiting[this.#head];
    if (part === undefined) return undefined;
    this.#waiting[this.#head++] = undefined as never;
    if (!this.waiting) this.#waiting.length = this.#head = 0;
    return part;
  }

  /** Forgets what waits. */
  clear(): void {
    this.#waiting = [];
    this.#head = 0;
  }

  /** A frame of so many bytes was handed over. @returns whether it is time to give credit */
  consumed(bytes: number): boolean {
    this.#consumed += bytes + FRAME_COST;
    return this.#granted - this.#consumed <= this.#window / 2;
  }

  /** The limit to tell the peer. Telling the same twice does no harm. */
  grant(): number {
    this.#granted = Math.max(this.#granted, this.#consumed + this.#window);
    return this.#granted;
  }

  /**
   * Puts a payload together. @returns the whole of it once it is there
   * @throws IsthmusError `TRUNK_PROTOCOL` when it is longer than `maxBytes`
   */
  gather(bytes: Buffer, more: boolean, maxBytes: number): Buffer | undefined {
    if (this.#gatheredBytes + bytes.length > maxBytes) {
      throw malformed(`a payload is longer than the ${maxBytes} bytes that were said to be taken`);
    }
    if (!more && this.#gatheredBytes === 0) return bytes;
    this.#append(bytes);
    if (more) return undefined;
    const whole = this.#gathered.subarray(0, this.#gatheredBytes);
    this.#gathered = EMPTY;
    this.#gatheredBytes = 0;
    return whole;
  }

  // one buffer that doubles: parts may be as short as a byte, and a list of them would cost far more than they do
  #append(bytes: Buffer): void {
    const length = this.#gatheredBytes + bytes.length;
    if (length > this.#gathered.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#gathered.length));
      this.#gathered.copy(larger, 0, 0, this.#gatheredBytes);
      this.#gathered = larger;
    }
    bytes.copy(this.#gathered, this.#gatheredBytes);
    this.#gatheredBytes = length;
  }
}
