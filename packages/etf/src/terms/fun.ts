import { etfError } from "../errors.ts";
import type { Term } from "../term.ts";
import { INSPECT, inspectCustom } from "../text/inspect.ts";
import type { Atom } from "./atom.ts";
import { TERM } from "./brand.ts";
import type { Pid } from "./pid.ts";
import { checkU32 } from "./range.ts";

/** The fields of NEW_FUN_EXT. */
export interface FunFields {
  /** 0 to 255. */
  readonly arity: number;
  /** MD5 of the module's significant code, 16 bytes. */
  readonly uniq: Buffer;
  /** Unsigned 32-bit. */
  readonly index: number;
  readonly module: Atom;
  /** Signed 32-bit. */
  readonly oldIndex: number;
  /** Signed 32-bit. */
  readonly oldUniq: number;
  /** The process that made it. */
  readonly creator: Pid;
  /** The values that the fun has captured. */
  readonly free: readonly Term[];
}

/** A closure (`fun(X) -> ... end`). It can be kept, inspected and sent back, not called. */
export class Fun implements FunFields {
  readonly kind = "fun";
  readonly arity: number;
  readonly uniq: Buffer;
  readonly index: number;
  readonly module: Atom;
  readonly oldIndex: number;
  readonly oldUniq: number;
  readonly creator: Pid;
  readonly free: readonly Term[];

  /** @throws IsthmusError `ETF_UNREPRESENTABLE` */
  constructor(fields: FunFields) {
    checkU32(fields.index, "The index of a fun");
    if (
      !Number.isInteger(fields.arity) ||
      fields.arity < 0 ||
      fields.arity > 255 ||
      fields.uniq.length !== 16 ||
      (fields.oldIndex | 0) !== fields.oldIndex ||
      (fields.oldUniq | 0) !== fields.oldUniq
    ) {
      throw etfError(
        "ETF_UNREPRESENTABLE",
        "A fun has an arity from 0 to 255, 16 bytes of uniq, and 32-bit numbers as old index and uniq.",
      );
    }
    this.arity = fields.arity;
    this.uniq = fields.uniq;
    this.index = fields.index;
    this.module = fields.module;
    this.oldIndex = fields.oldIndex;
    this.oldUniq = fields.oldUniq;
    this.creator = fields.creator;
    this.free = fields.free;
  }

  get [TERM](): true {
    return true;
  }

  [INSPECT](depth: number, options: object): string {
    return inspectCustom(this, depth, options);
  }
}
