import { etfError } from "../errors.ts";
import { INSPECT, inspectCustom } from "../text/inspect.ts";
import { TERM } from "./brand.ts";

/**
 * A float whose value is whole, such as `1.0` or `-0.0`: as a plain `number` it would be taken for an integer. Floats
 * with a fraction are plain numbers.
 */
export class Float {
  readonly kind = "float";
  readonly value: number;

  /** @throws IsthmusError `ETF_UNREPRESENTABLE` */
  constructor(value: number) {
    if (!Number.isFinite(value)) {
      throw etfError("ETF_UNREPRESENTABLE", `Erlang has no float ${value}. Pass an atom instead.`);
    }
    this.value = value;
  }

  /** Its value, for arithmetic. */
  valueOf(): number {
    return this.value;
  }

  get [TERM](): true {
    return true;
  }

  [INSPECT](depth: number, options: object): string {
    return inspectCustom(this, depth, options);
  }
}
