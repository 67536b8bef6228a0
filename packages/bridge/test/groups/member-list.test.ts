import { atom, Pid } from "@isthmus/etf";
import fc from "fast-check";
import { expect, it } from "vitest";
import { MemberList } from "../../src/groups/member-list.ts";
import { pidKey } from "../../src/translate/identifier.ts";

const PIDS = [
  new Pid(atom("n@h"), 1, 0, 5),
  new Pid(atom("n@h"), 1, 0, 6),
  new Pid(atom("n@h"), 1, 2, 5),
  new Pid(atom("m@h"), 1, 0, 5),
];
const some = fc.array(fc.constantFrom(...PIDS), { maxLength: 8 });
const text = (pids: readonly Pid[]): string[] => pids.map(pidKey).sort();

it("keeps each membership, and tells what is missing and what is too much", () => {
  fc.assert(
    fc.property(some, some, some, (added, removed, wanted) => {
      const list = new MemberList();
      const model = [...added];
      for (const pid of added) list.add(pid);
      for (const pid of removed) {
        const at = model.indexOf(pid);
        expect(list.remove(pid)).toBe(at >= 0);
        if (at >= 0) model.splice(at, 1);
      }
      expect([list.size, text(list.pids())]).toEqual([model.length, text(model)]);
      expect(list.pids()).toBe(list.pids());
      const difference = list.difference(wanted);
      for (const pid of difference.removed) expect(list.remove(pid)).toBe(true);
      for (const pid of difference.added) list.add(pid);
      expect(text(list.pids())).toEqual(text(wanted));
      expect(list.difference(wanted)).toEqual({ added: [], removed: [] });
    }),
  );
});
