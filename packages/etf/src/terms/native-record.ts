import { etfError } from "../errors.ts";
import type { Term } from "../term.ts";
import { INSPECT, inspectCustom } from "../text/inspect.ts";
import type { Atom } from "./atom.ts";
import { TERM } from "./brand.ts";

/** A native record, which exists since OTP 29. Older nodes refuse it. */
export class NativeRecord {
  readonly kind = "record";
  readonly module: Atom;
  readonly name: Atom;
  readonly exported: boolean;
  readonly fields: readonly Atom[];
  /** One for each field. */
  readonly values: readonly Term[];

  /** @throws IsthmusError `ETF_UNREPRESENTABLE` */
  constructor(
    module: Atom,
    name: Atom,
    fields: readonly Atom[],
    values: readonly Term[],
    options: { readonly exported: boolean },
  ) {
    if (fields.length !== values.length || new Set(fields).size < fields.length) {
      throw etfError("ETF_UNREPRESENTABLE", "A record has fields of different names and a value for each.");
    }
    this.module = module;
    this.name = name;
    this.exported = options.exported;
    this.fields = fields;
    this.values = values;
  }

  get [TERM](): true {
    return true;
  }

  [INSPECT](depth: number, options: object): string {
    return inspectCustom(this, depth, options);
  }
}
