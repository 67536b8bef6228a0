import { Float } from "../terms/float.ts";
import type { TextScanner } from "./scanner.ts";

const FLOAT = /-?\d+(_\d+)*\.\d+(_\d+)*([eE][+-]?\d+)?/y;
const RADIX = /-?(\d\d?)#[0-9a-zA-Z]+(_[0-9a-zA-Z]+)*/y;
const PREFIXED = /-?0(x[0-9a-fA-F_]+|o[0-7_]+|b[01_]+)/y;
const INTEGER = /-?\d+(_\d+)*/y;

/** A number, or undefined when none stands here. `16#ff` is Erlang's, `0xff` Elixir's. */
export function takeNumber(scanner: TextScanner, elixir: boolean): number | bigint | Float | undefined {
  const float = scanner.match(FLOAT);
  if (float !== undefined) {
    const value = Number(float.replaceAll("_", ""));
    if (!Number.isFinite(value)) throw scanner.error("a float is out of range");
    return Number.isInteger(value) ? new Float(value) : value;
  }
  const special = elixir ? scanner.match(PREFIXED) : scanner.match(RADIX);
  if (special !== undefined) {
    const text = special.replaceAll("_", "");
    const negative = text.startsWith("-");
    const digits = negative ? text.slice(1) : text;
    const magnitude = elixir ? BigInt(digits) : inRadix(digits, scanner);
    return plain(negative ? -magnitude : magnitude);
  }
  const integer = scanner.match(INTEGER);
  return integer === undefined ? undefined : plain(BigInt(integer.replaceAll("_", "")));
}

function inRadix(text: string, scanner: TextScanner): bigint {
  const [base, digits] = text.split("#") as [string, string];
  const radix = Number(base);
  let value = 0n;
  for (const digit of digits) {
    const worth = Number.parseInt(digit, 36);
    if (radix < 2 || radix > 36 || !(worth < radix)) throw scanner.error(`${text} is not a number`);
    value = value * BigInt(radix) + BigInt(worth);
  }
  return value;
}

function plain(value: bigint): number | bigint {
  const number = Number(value);
  // not -0 for "-0"
  return Number.isSafeInteger(number) ? number + 0 : value;
}
