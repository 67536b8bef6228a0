import { etfError } from "../errors.ts";
import { INSPECT, inspectCustom } from "../text/inspect.ts";
import type { Atom } from "./atom.ts";
import { TERM } from "./brand.ts";

/** `fun Module:Function/Arity`. */
export class ExportFun {
  readonly kind = "export";
  readonly module: Atom;
  readonly function: Atom;
  /** 0 to 255: OTP 27 dies of more (PROTOCOL section 12). */
  readonly arity: number;

  /** @throws IsthmusError `ETF_UNREPRESENTABLE` */
  constructor(module: Atom, name: Atom, arity: number) {
    if (!Number.isInteger(arity) || arity < 0 || arity > 255) {
      throw etfError(
        "ETF_UNREPRESENTABLE",
        `The arity of a fun is a whole number from 0 to 255, not ${arity}.`,
      );
    }
    this.module = module;
    this.function = name;
    this.arity = arity;
  }

  get [TERM](): true {
    return true;
  }

  [INSPECT](depth: number, options: object): string {
    return inspectCustom(this, depth, options);
  }
}
