import { INSPECT, inspectCustom } from "../text/inspect.ts";
import type { Atom } from "./atom.ts";
import { TERM } from "./brand.ts";
import { checkU32 } from "./range.ts";

/** A process identifier. The numbers are unsigned 32-bit. */
export class Pid {
  readonly kind = "pid";
  readonly node: Atom;
  readonly id: number;
  readonly serial: number;
  /** Tells the incarnations of a node apart; 0 means "unknown" in old terms. */
  readonly creation: number;

  /** @throws IsthmusError `ETF_UNREPRESENTABLE` for a number out of range */
  constructor(node: Atom, id: number, serial: number, creation: number) {
    checkU32(id, "The id of a pid");
    checkU32(serial, "The serial of a pid");
    checkU32(creation, "The creation of a pid");
    this.node = node;
    this.id = id;
    this.serial = serial;
    this.creation = creation;
  }

  get [TERM](): true {
    return true;
  }

  [INSPECT](depth: number, options: object): string {
    return inspectCustom(this, depth, options);
  }
}
