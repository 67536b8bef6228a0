import { atom, equals, Pid, type Term } from "@isthmus/etf";
import fc from "fast-check";
import { expect, it } from "vitest";
import { groupKey } from "../../src/pg/group-key.ts";
import { Groups, Holder, type PgEvent } from "../../src/pg/groups.ts";
import { pids as text } from "./pg-node.ts";

const NAMES: readonly Term[] = [atom("a"), "a", 1];
const PIDS = [1, 2, 3].map((id) => new Pid(atom("n@h"), id, 0, 5));

const some = fc.array(fc.constantFrom(...PIDS), { maxLength: 4 });
const step = fc.record({
  holder: fc.nat(2),
  name: fc.nat(NAMES.length - 1),
  act: fc.constantFrom("add", "remove", "replace" as const),
  pids: some,
  more: some,
});

it("members, events and counts agree with a plain list of memberships, whatever is done", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.constantFrom(5, 1000), (steps, maxMembers) => {
      const told: PgEvent[] = [];
      const groups = new Groups((event) => void told.push(event));
      const holders = [0, 1, 2].map((i) => new Holder(`n${i}@h`, { maxMembers, maxNameBytes: 1000 }));
      const model: Pid[][][] = holders.map(() => NAMES.map(() => []));
      const size = (holder: number): number => model[holder]!.flat().length;
      for (const { holder: at, name, act, pids, more } of steps) {
        const holder = holders[at]!;
        const of = model[at]!;
        const key = groupKey(NAMES[name]!);
        const add = (list: Pid[], added: readonly Pid[]): number => {
          const taken = added.slice(0, maxMembers - size(at));
          list.push(...taken);
          return added.length - taken.length;
        };
        if (act === "add") expect(groups.add(holder, key, pids)).toBe(add(of[name]!, pids));
        else if (act === "remove") {
          const removed = groups.remove(holder, key, pids);
          const expected = pids.filter((pid) => take(of[name]!, pid));
          expect(text(removed)).toBe(text(expected));
        } else if (maxMembers === 1000) {
          const next = (name + 1) % NAMES.length;
          const wanted = [pids, more].map((list, i) => [[name, next][i]!, list] as const);
          const refused = groups.replace(
            holder,
            new Map(wanted.map(([i, list]) => [groupKey(NAMES[i]!), list])),
          );
          expect(refused).toBe(0);
          for (const i of NAMES.keys()) of[i] = [...(wanted.find(([each]) => each === i)?.[1] ?? [])];
        }
      }
      const all = NAMES.map((_, name) => model.flatMap((of) => of[name]!));
      for (const [name, group] of NAMES.entries()) {
        const key = groupKey(group);
        expect(text(groups.members(key))).toBe(text(all[name]!));
        const byNode = groups.membersByNode(key);
        expect(text([...byNode.values()].flat())).toBe(text(all[name]!));
        for (const [i, holder] of holders.entries()) {
          expect(text(groups.members(key, holder))).toBe(text(model[i]![name]!));
          expect(text(byNode.get(holder.node) ?? [])).toBe(text(model[i]![name]!));
          expect(holder.size).toBe(size(i));
          expect([...holder.groups.keys()].reduce((sum, each) => sum + each.length, 0)).toBe(
            holder.nameBytes,
          );
        }
        const events: Pid[] = [];
        for (const event of told.filter((each) => equals(each.group, group))) {
          expect(event.pids.length).toBeGreaterThan(0);
          if (event.type === "join") events.push(...event.pids);
          else for (const pid of event.pids) expect(take(events, pid)).toBe(true);
        }
        expect(text(events)).toBe(text(all[name]!));
      }
      expect([...groups.keys()].length).toBe(all.filter((members) => members.length > 0).length);
    }),
  );
});

function take(from: Pid[], pid: Pid): boolean {
  const at = from.indexOf(pid);
  if (at >= 0) from.splice(at, 1);
  return at >= 0;
}
