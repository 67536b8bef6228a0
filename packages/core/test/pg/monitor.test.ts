import { atom } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import type { PgEvent } from "../../src/pg/groups.ts";
import { setup, shown } from "./pg-node.ts";

const A = atom("a");
const brief = ({ type, group, pids }: PgEvent): string => `${type} ${shown(group)} ${pids.length}`;

describe("a monitor", () => {
  it("begins with what there is, and tells what changes from then on", async () => {
    const { left, network, pg } = await setup();
    const [one, two] = [left.table.spawn(), left.table.spawn()];
    pg.join(A, one);
    const all = pg.monitorScope();
    const ofB = pg.monitor("b");
    expect(all.members).toEqual([[A, [one.pid]]]);
    expect(pg.monitor(A).members).toEqual([[A, [one.pid]]]);
    expect(ofB.members).toEqual([]);
    pg.join("b", [one, two, two]);
    pg.leave("b", two);
    one.exit();
    await network.settle();
    pg.close();
    const [seen, seenOfB]: string[][] = [[], []];
    for await (const event of all) seen!.push(brief(event));
    for await (const event of ofB) seenOfB!.push(brief(event));
    const changes = ['join <<"b">> 3', 'leave <<"b">> 1', "leave a 1", 'leave <<"b">> 1', 'leave <<"b">> 1'];
    expect(seen).toEqual(changes);
    expect(seenOfB).toEqual(changes.filter((change) => change.includes("b")));
  });

  it("is awaited, ends when it is closed, and is then forgotten", async () => {
    const { left, pg } = await setup();
    const monitor = pg.monitorScope();
    const events = monitor[Symbol.asyncIterator]();
    const [first, second] = [events.next(), events.next()];
    pg.join(A, left.table.spawn());
    expect((await first).value.type).toBe("join");
    monitor.close();
    monitor[Symbol.dispose]();
    expect(await second).toEqual({ done: true, value: undefined });
    pg.join(A, left.table.spawn());
    expect(await events.next()).toEqual({ done: true, value: undefined });
  });

  it("whose loop is left is closed", async () => {
    const { left, pg } = await setup();
    const monitor = pg.monitor(A);
    pg.join(A, left.table.spawn());
    for await (const event of monitor) {
      expect(event.type).toBe("join");
      break;
    }
    pg.join(A, left.table.spawn());
    expect(await monitor[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined });
  });

  it("that nobody iterates over ends with an error when too much waits", async () => {
    const { left, pg } = await setup();
    const monitor = pg.monitorScope({ maxQueuedEvents: 2 });
    for (let i = 0; i < 4; i++) pg.join(A, left.table.spawn());
    await expect(monitor[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: "MAILBOX_FULL",
      context: { limit: 2 },
    });
  });

  it("calls back in order, also when that changes more; what a callback throws harms nobody", async () => {
    const { left, pg } = await setup();
    const [one, two] = [left.table.spawn(), left.table.spawn()];
    const seen: string[] = [];
    pg.monitor(A, {
      onEvent: ({ type }) => {
        if (type === "join") pg.join("b", two);
        throw new Error("broken");
      },
    });
    pg.monitorScope({
      onEvent: (event) => {
        seen.push(brief(event));
        if (event.type === "join" && event.group === A) pg.leave(A, one);
      },
    });
    pg.join(A, one);
    expect(seen).toEqual(["join a 1", 'join <<"b">> 1', "leave a 1"]);
    expect(left.log.map(({ level }) => level)).toEqual(["error", "error"]);
  });
});
