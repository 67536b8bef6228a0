import { atom, Pid, Reference } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { PidNumbers, pidNumber, pidParts, References, referenceNumber } from "../../src/process/identity.ts";

const node = atom("n@h");

describe("pid numbers", () => {
  it("stay within 15 bits of id and 13 of serial, are never 0, and go round", () => {
    const numbers = new PidNumbers();
    let taken = true;
    // as if all but the last few were taken
    const last = 2 ** 28 - 1;
    const first = numbers.next(() => false);
    expect(pidParts(first)).toEqual({ id: 1, serial: 0 });
    expect(pidParts(last)).toEqual({ id: 32_767, serial: 8191 });
    expect(pidParts(32_768)).toEqual({ id: 0, serial: 1 });
    const found = numbers.next(() => {
      const was = taken;
      taken = false;
      return was;
    });
    expect(found).toBe(3);
  });

  it("are -1 for pids that none of ours can be", () => {
    expect(pidNumber(new Pid(node, 32_768, 0, 1))).toBe(-1);
    expect(pidNumber(new Pid(node, 1, 8192, 1))).toBe(-1);
    for (const number of [1, 32_767, 32_768, 2 ** 28 - 1]) {
      const { id, serial } = pidParts(number);
      expect(pidNumber(new Pid(node, id, serial, 1))).toBe(number);
    }
  });
});

describe("references", () => {
  it("have three words, the first of 18 bits, and are known again by their number", () => {
    const references = new References(node, () => 9);
    const first = references.next();
    expect([first.words, first.creation]).toEqual([[1, 0, 0], 9]);
    expect(references.number(first)).toBe(1);
    let ref = first;
    for (let i = 1; i < 2 ** 18 + 5; i++) ref = references.next();
    expect(ref.words).toEqual([5, 1, 0]);
    expect(references.number(new Reference(node, 9, [5, 1, 0]))).toBe(2 ** 18 + 5);
    expect(referenceNumber(ref)).toBe(2 ** 18 + 5);
  });

  it("of others have no number", () => {
    const references = new References(node, () => 9);
    references.next();
    for (const other of [
      new Reference(atom("m@h"), 9, [1, 0, 0]),
      new Reference(node, 8, [1, 0, 0]),
      new Reference(node, 9, [1, 0]),
      new Reference(node, 9, [1, 0, 1]),
      new Reference(node, 9, [1, 0, 0, 0, 0]),
    ]) {
      expect(references.number(other)).toBe(0);
    }
  });
});
