const scratch = new DataView(new ArrayBuffer(8));
const TWO_32 = 4_294_967_296;

/**
 * The integer whose magnitude is the little-endian `bytes[start, start + length)`: a number when safe, else a bigint.
 */
export function readMagnitude(
  bytes: Buffer,
  start: number,
  length: number,
  negative: boolean,
): number | bigint {
  while (length > 0 && bytes[start + length - 1] === 0) length--;
  if (length <= 8) {
    let low = 0;
    let high = 0;
    for (let i = Math.min(length, 4) - 1; i >= 0; i--) low = low * 256 + (bytes[start + i] as number);
    for (let i = length - 1; i >= 4; i--) high = high * 256 + (bytes[start + i] as number);
    if (high < 0x20_0000) {
      const value = high * TWO_32 + low;
      // not -value for 0, which would be -0
      return negative && value > 0 ? -value : value;
    }
    scratch.setUint32(0, high);
    scratch.setUint32(4, low);
    const value = scratch.getBigUint64(0);
    return negative ? -value : value;
  }
  const digits = Buffer.from(bytes.subarray(start, start + length)).reverse();
  const value = BigInt(`0x${digits.toString("hex")}`);
  return negative ? -value : value;
}
