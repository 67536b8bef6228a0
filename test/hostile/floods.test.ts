import { HIDDEN_FULL } from "@isthmus/dist-handshake";
import { atom, internedAtomCount, Pid, Reference, type Term, tuple } from "@isthmus/etf";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ATTACKER_CREATION, type Attacker, attack, bare, framed, HEADER } from "./attacker.ts";
import { startVictim, until, type Victim } from "./victim.ts";

const NAME = "attacker@127.0.0.1";
const own = new Pid(atom(NAME), 1, 0, ATTACKER_CREATION);
const EMPTY = atom("");
const MEGABYTE = 1e6;

let victim: Victim;
let attacker: Attacker;
beforeAll(async () => {
  victim = await startVictim({
    limits: { maxBacklogBytes: 8 * MEGABYTE },
    processes: { maxProcesses: 2000, maxRelationsPerNode: 1000 },
  });
  victim.node.processes.expose({ "flood:never/0": () => new Promise<Term>(() => undefined) });
});
afterAll(() => victim?.stop());
afterEach(async () => {
  attacker?.end();
  await victim.gone(NAME);
});

const ref = (n: number): Reference =>
  new Reference(atom(NAME), ATTACKER_CREATION, [n % 2 ** 18, n >>> 18, 0]);

async function start(): Promise<void> {
  attacker = await attack({ port: victim.port, name: NAME, victim: victim.node.name, flags: HIDDEN_FULL });
  victim.mark();
}

/** Sends what `make` makes, for 0 to `count`, many frames in one write. @returns how far it came */
async function flood(count: number, make: (n: number) => readonly Buffer[]): Promise<number> {
  const write = (bytes: Buffer): Promise<unknown> =>
    attacker.socket.write(bytes)
      ? Promise.resolve()
      : Promise.race([new Promise((resolve) => attacker.socket.once("drain", resolve)), attacker.closed]);
  for (let n = 0; n < count; ) {
    const batch: Buffer[] = [];
    for (const end = Math.min(count, n + 200); n < end; n++) batch.push(framed(...make(n)));
    await write(Buffer.concat(batch));
    if (!attacker.open) return n;
  }
  return count;
}

/** Everything before was read: the last frame has an answer. */
async function readThrough(): Promise<void> {
  let tail = Buffer.alloc(0);
  const answered = new Promise<void>((resolve) =>
    attacker.socket.on("data", (chunk: Buffer) => {
      tail = Buffer.concat([tail, chunk]).subarray(-1000);
      if (tail.includes("seen_to_the_end")) resolve();
    }),
  );
  const call = tuple(atom("$gen_call"), tuple(own, atom("seen_to_the_end")), atom("x"));
  await attacker.frame(HEADER, bare(tuple(6, own, EMPTY, atom("echo"))), bare(call));
  await Promise.race([answered, attacker.closed]);
}

async function forgotten(): Promise<void> {
  await victim.unharmed();
  await until(() => victim.grown() < 20 * MEGABYTE);
}

describe("a flood of atoms is forgotten", () => {
  it.each([
    ["in messages to a process", "inbox"],
    ["in messages to nobody", "nobody"],
  ])("%s", async (_name, name) => {
    await start();
    const before = internedAtomCount();
    const control = bare(tuple(6, own, EMPTY, atom(name)));
    await flood(4000, (n) => {
      // made by hand, so that they are not atoms of this program
      const atoms = Array.from({ length: 100 }, (_, k) => {
        const text = `flood_${name}_${n}_${k}`;
        return Buffer.concat([Buffer.from([119, text.length]), Buffer.from(text)]);
      });
      return [HEADER, control, Buffer.from([104, 100]), ...atoms];
    });
    await readThrough();
    await forgotten();
    await until(() => {
      victim.grown();
      return internedAtomCount() - before < 5000;
    });
  });

  it("as names that are sent to, monitored, called and spawned", async () => {
    await start();
    const before = internedAtomCount();
    const name = (text: string): Buffer =>
      Buffer.concat([Buffer.from([119, text.length]), Buffer.from(text)]);
    const pid = bare(own);
    await flood(60_000, (n) => [
      ...[HEADER, Buffer.from([104, 4, 97, n % 2 === 0 ? 6 : 19]), pid],
      ...(n % 2 === 0 ? [name(""), name(`sent_${n}`), bare(1)] : [name(`watched_${n}`), bare(ref(n))]),
    ]);
    await readThrough();
    await forgotten();
    await until(() => {
      victim.grown();
      return internedAtomCount() - before < 5000;
    });
  });

  it("in the atom cache, over and over", async () => {
    await start();
    const before = internedAtomCount();
    const rest = bare(tuple(6, own, EMPTY, atom("inbox")));
    await flood(2000, (n) => {
      const flags = Buffer.alloc((200 >> 1) + 1, 0x88);
      flags[100] = 0;
      const entries = Array.from({ length: 200 }, (_, k) => {
        const text = `cached_${n}_${k}`;
        return Buffer.concat([Buffer.from([k, text.length]), Buffer.from(text)]);
      });
      return [Buffer.from([131, 68, 200]), flags, ...entries, rest, Buffer.from([106])];
    });
    await readThrough();
    await forgotten();
    await until(() => {
      victim.grown();
      return internedAtomCount() - before < 5000;
    });
  });
});

describe("a flood of", () => {
  it("links and monitors ends at the limit, and all of them end with it", async () => {
    await start();
    const target = victim.node.spawn();
    const sent = await flood(100_000, (n) => [HEADER, bare(tuple(19, own, target.pid, ref(n)))]);
    await attacker.closed;
    expect(sent).toBeLessThan(100_000);
    expect(await victim.downReason(NAME)).toBe("RELATION_LIMIT");
    await forgotten();
    target.exit();
  });

  it("requests to spawn what is not there leaves nothing", async () => {
    await start();
    await flood(50_000, (n) => [
      HEADER,
      bare(tuple(29, ref(n), own, own, tuple(atom("no"), atom("such"), 0), [atom("monitor"), atom("link")])),
      bare([]),
    ]);
    await readThrough();
    await forgotten();
  });

  it("messages to a process that does not read them is dropped, or ends that process", async () => {
    await start();
    const dropping = victim.node.spawn({ name: "dropping", mailboxLimit: 100 });
    const ending = victim.node.spawn({ name: "ending", mailboxLimit: 100, mailboxOverflow: "exit" });
    for (const name of ["dropping", "ending"]) {
      const control = bare(tuple(6, own, EMPTY, atom(name)));
      await flood(20_000, (n) => [HEADER, control, bare(n)]);
    }
    await readThrough();
    expect([dropping.mailboxSize, dropping.dropped, dropping.alive]).toEqual([100, 19_900, true]);
    expect(await ending.exited).toBe(atom("mailbox_full"));
    dropping.exit();
    await forgotten();
  });

  it("ticks", async () => {
    await start();
    for (let n = 0; n < 100; n++) {
      if (!attacker.socket.write(Buffer.alloc(40_000)))
        await new Promise((resolve) => attacker.socket.once("drain", resolve));
    }
    await readThrough();
    await forgotten();
    expect(attacker.open).toBe(true);
  });

  it("requests whose answers are not read ends with the backlog", async () => {
    await start();
    attacker.socket.pause();
    const call = tuple(atom("$gen_call"), tuple(own, ref(1)), Buffer.alloc(100_000, 1));
    const frame = [HEADER, bare(tuple(6, own, EMPTY, atom("echo"))), bare(call)];
    void flood(10_000, () => frame);
    expect(await victim.downReason(NAME)).toBe("BACKLOG_EXCEEDED");
    attacker.end();
    await forgotten();
  });

  it("calls in the name of nodes that nobody knows", async () => {
    await start();
    const control = bare(tuple(6, own, EMPTY, atom("net_kernel")));
    await flood(3000, (n) => {
      const node = `nobody_${n}@127.0.0.1`;
      const from = Buffer.concat([
        Buffer.from([88, 119, node.length]),
        Buffer.from(node),
        Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]),
      ]);
      const ping = bare(tuple(atom("is_auth"), atom(NAME)));
      return [
        HEADER,
        control,
        Buffer.from([104, 3]),
        bare(atom("$gen_call")),
        Buffer.from([104, 2]),
        from,
        bare(1),
        ping,
      ];
    });
    await readThrough();
    await forgotten();
    expect(attacker.open).toBe(true);
  });

  // the last one: what a function of ours never ends stays
  it("processes ends at the limit", async () => {
    await start();
    await flood(5000, (n) => [
      HEADER,
      bare(tuple(29, ref(n), own, own, tuple(atom("flood"), atom("never"), 0), [])),
      bare([]),
    ]);
    await readThrough();
    expect(victim.node.processes.size).toBe(2000);
    expect(() => victim.node.spawn()).toThrow(expect.objectContaining({ code: "PROCESS_LIMIT" }));
    await victim.unharmed();
  });
});
