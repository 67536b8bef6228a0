import { etfError } from "../errors.ts";
import { INSPECT, inspectCustom } from "../text/inspect.ts";
import type { Atom } from "./atom.ts";
import { TERM } from "./brand.ts";
import { checkU32 } from "./range.ts";

const MAX_U64 = (1n << 64n) - 1n;

/** A port identifier. */
export class Port {
  readonly kind = "port";
  readonly node: Atom;
  /** Unsigned 64-bit (28-bit before OTP 24). */
  readonly id: bigint;
  /** Unsigned 32-bit. */
  readonly creation: number;

  /** @throws IsthmusError `ETF_UNREPRESENTABLE` for a number out of range */
  constructor(node: Atom, id: bigint, creation: number) {
    if (id < 0n || id > MAX_U64) {
      throw etfError("ETF_UNREPRESENTABLE", `The id of a port must be from 0 to ${MAX_U64}, not ${id}.`);
    }
    checkU32(creation, "The creation of a port");
    this.node = node;
    this.id = id;
    this.creation = creation;
  }

  get [TERM](): true {
    return true;
  }

  [INSPECT](depth: number, options: object): string {
    return inspectCustom(this, depth, options);
  }
}
