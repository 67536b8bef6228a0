import { etfError } from "../errors.ts";
import { INSPECT, inspectCustom } from "../text/inspect.ts";
import { TERM } from "./brand.ts";

/** A bit string whose length is no multiple of eight; the others are plain binaries. */
export class BitString {
  readonly kind = "bitstring";
  /** The bits from the highest of the first byte on; the unused low bits of the last byte are 0. */
  readonly bytes: Buffer;
  /** Used bits of the last byte, 1 to 7. */
  readonly bits: number;

  /**
   * @param bytes at least one; copied when unused bits are set
   * @throws IsthmusError `ETF_UNREPRESENTABLE`
   */
  constructor(bytes: Buffer, bits: number) {
    if (!Number.isInteger(bits) || bits < 1 || bits > 7 || bytes.length === 0) {
      throw etfError(
        "ETF_UNREPRESENTABLE",
        `A bit string has at least one byte and 1 to 7 bits in the last, not ${bytes.length} bytes and ${bits} bits. Use a Buffer for whole bytes.`,
      );
    }
    const last = bytes[bytes.length - 1] as number;
    const used = last & (0xff << (8 - bits)) & 0xff;
    if (used !== last) {
      bytes = Buffer.from(bytes);
      bytes[bytes.length - 1] = used;
    }
    this.bytes = bytes;
    this.bits = bits;
  }

  /** Length in bits. */
  get bitLength(): number {
    return (this.bytes.length - 1) * 8 + this.bits;
  }

  get [TERM](): true {
    return true;
  }

  [INSPECT](depth: number, options: object): string {
    return inspectCustom(this, depth, options);
  }
}
