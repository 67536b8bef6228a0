import { atom, Pid, Reference, type Term, type Tuple, tuple } from "@isthmus/etf";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ATTACKER_CREATION, type Attacker, attack, bare, HEADER } from "./attacker.ts";
import { startVictim, until, type Victim } from "./victim.ts";

const NAME = "attacker@127.0.0.1";
const own = new Pid(atom(NAME), 1, 0, ATTACKER_CREATION);
const ref = new Reference(atom(NAME), ATTACKER_CREATION, [1, 2, 3]);
const EMPTY = atom("");
const inbox = atom("inbox");

let victim: Victim;
let attacker: Attacker;
/** A process of the well-behaved node, and one of ours that is linked to it and watches it. */
let worker: Pid;
let watcher: ReturnType<Victim["node"]["spawn"]>;

beforeAll(async () => {
  victim = await startVictim();
  worker = (await victim.node.processes.erpc.call(
    victim.beam.node,
    "isthmus_scenarios",
    "worker",
    [],
  )) as Pid;
  watcher = victim.node.spawn({ trapExit: true });
  watcher.link(worker);
  watcher.monitor(worker);
});
afterAll(() => victim?.stop());
afterEach(async () => {
  attacker?.end();
  await victim.gone(NAME);
});

async function send(control: Term, ...body: Term[]): Promise<void> {
  attacker = await attack({ port: victim.port, name: NAME, victim: victim.node.name });
  await attacker.frame(HEADER, bare(control), ...body.map(bare));
}

async function thrownOut(code: string | RegExp): Promise<void> {
  await attacker.closed;
  expect(await victim.downReason(NAME)).toMatch(code);
  await victim.unharmed();
}

interface Good {
  readonly name: string;
  readonly control: () => Tuple;
  readonly body: readonly Term[];
}

const good = (name: string, control: () => Tuple, ...body: Term[]): Good => ({ name, control, body });

/** A control message of every kind, as it must be. */
const GOOD: readonly Good[] = [
  good("LINK", () => tuple(1, own, watcher.pid)),
  good("SEND", () => tuple(2, EMPTY, watcher.pid), 1),
  good("EXIT", () => tuple(3, own, watcher.pid, 1)),
  good("UNLINK", () => tuple(4, own, watcher.pid)),
  good("REG_SEND", () => tuple(6, own, EMPTY, inbox), 1),
  good("GROUP_LEADER", () => tuple(7, own, watcher.pid)),
  good("EXIT2", () => tuple(8, own, watcher.pid, 1)),
  good("SEND_TT", () => tuple(12, EMPTY, watcher.pid, 1), 1),
  good("EXIT_TT", () => tuple(13, own, watcher.pid, 1, 1)),
  good("REG_SEND_TT", () => tuple(16, own, EMPTY, inbox, 1), 1),
  good("EXIT2_TT", () => tuple(18, own, watcher.pid, 1, 1)),
  good("MONITOR_P", () => tuple(19, own, watcher.pid, ref)),
  good("DEMONITOR_P", () => tuple(20, own, watcher.pid, ref)),
  good("MONITOR_P_EXIT", () => tuple(21, own, watcher.pid, ref, 1)),
  good("SEND_SENDER", () => tuple(22, own, watcher.pid), 1),
  good("SEND_SENDER_TT", () => tuple(23, own, watcher.pid, 1), 1),
  good("PAYLOAD_EXIT", () => tuple(24, own, watcher.pid), 1),
  good("PAYLOAD_EXIT_TT", () => tuple(25, own, watcher.pid, 1), 1),
  good("PAYLOAD_EXIT2", () => tuple(26, own, watcher.pid), 1),
  good("PAYLOAD_EXIT2_TT", () => tuple(27, own, watcher.pid, 1), 1),
  good("PAYLOAD_MONITOR_P_EXIT", () => tuple(28, own, watcher.pid, ref), 1),
  good("SPAWN_REQUEST", () => tuple(29, ref, own, own, tuple(atom("m"), atom("f"), 0), []), []),
  good("SPAWN_REQUEST_TT", () => tuple(30, ref, own, own, tuple(atom("m"), atom("f"), 0), [], 1), []),
  good("SPAWN_REPLY", () => tuple(31, ref, watcher.pid, 0, own)),
  good("SPAWN_REPLY_TT", () => tuple(32, ref, watcher.pid, 0, own, 1)),
  good("ALIAS_SEND", () => tuple(33, own, ref), 1),
  good("ALIAS_SEND_TT", () => tuple(34, own, ref, 1), 1),
  good("UNLINK_ID", () => tuple(35, 1, own, watcher.pid)),
  good("UNLINK_ID_ACK", () => tuple(36, 1, own, watcher.pid)),
  good("ALTACT_SIG_SEND", () => tuple(37, 0, own, watcher.pid), 1),
];

describe("control messages", () => {
  it("as they must be are taken, whatever they are good for", async () => {
    await send(GOOD[0]!.control());
    for (const { control, body } of GOOD) await attacker.frame(HEADER, bare(control()), ...body.map(bare));
    // what comes back for the last one shows that all were read
    const answer = new Promise((resolve) => attacker.socket.once("data", resolve));
    await attacker.frame(HEADER, bare(tuple(19, own, atom("nobody"), ref)));
    await answer;
    expect(attacker.open).toBe(true);
    await victim.unharmed();
    attacker.end();
    await thrownOut("CONNECTION_CLOSED");
    for (let n = watcher.mailboxSize; n > 0; n--) await watcher.receive();
  });

  it.each(GOOD)("$name with an element too few or too many", async ({ name, control, body }) => {
    await send(tuple(...control().elements.slice(0, -1)), ...body);
    await thrownOut("CONTROL_MALFORMED");
    // the newest one may have more than we know of
    if (name === "ALTACT_SIG_SEND") return;
    await send(tuple(...control().elements, 1), ...body);
    await thrownOut("CONTROL_MALFORMED");
  });

  it.each(GOOD.filter(({ body }) => body.length > 0))(
    "$name without what belongs to it",
    async ({ control }) => {
      await send(control());
      await thrownOut("CONTROL_MALFORMED");
    },
  );

  it.each(GOOD)("$name with an element of another kind", async ({ control, body }) => {
    const { elements } = control();
    for (let at = 1; at < elements.length; at++) {
      const strange = elements[at] instanceof Pid || elements[at] instanceof Reference;
      if (!strange) continue;
      await send(tuple(...elements.map((element, n) => (n === at ? 2.5 : element))), ...body);
      await thrownOut(/^(CONTROL_MALFORMED|ETF_)/);
    }
  });

  it.each<[string, Term]>([
    ["0", tuple(0, own, inbox)],
    ["5", tuple(5, own, inbox)],
    ["9, 10, 11", tuple(9, own, inbox)],
    ["14", tuple(14, own, inbox)],
    ["15", tuple(15, own, inbox)],
    ["17", tuple(17, own, inbox)],
    ["38", tuple(38, own, inbox)],
    ["255", tuple(255, own, inbox)],
    ["-1", tuple(-1, own, inbox)],
    ["2^80", tuple(2n ** 80n, own, inbox)],
    ["an atom", tuple(atom("send"), own, inbox)],
    ["none", tuple()],
    ["no tuple", [1, own, inbox]],
    ["a number", 1],
  ])("operation %s", async (_name, control) => {
    await send(control, 1);
    await thrownOut(/^(CONTROL_MALFORMED|ETF_)/);
  });

  it.each<[string, () => Term, ...Term[]]>([
    ["an unlink with id 0", () => tuple(35, 0, own, watcher.pid)],
    ["an unlink with id -1", () => tuple(35, -1, own, watcher.pid)],
    ["an unlink with id 2^64", () => tuple(35, 2n ** 64n, own, watcher.pid)],
    ["a signal to an alias and a name at once", () => tuple(37, 12, own, inbox), 1],
    ["a signal with negative flags", () => tuple(37, -1, own, inbox), 1],
    ["a spawn with 256 arguments", () => tuple(29, ref, own, own, tuple(atom("m"), atom("f"), 256), []), []],
    [
      "a spawn with other arguments than announced",
      () => tuple(29, ref, own, own, tuple(atom("m"), atom("f"), 2), []),
      [],
    ],
    [
      "a spawn with arguments that are no list",
      () => tuple(29, ref, own, own, tuple(atom("m"), atom("f"), 0), []),
      1,
    ],
  ])("%s", async (_name, control, ...body) => {
    await send(control(), ...body);
    await thrownOut("CONTROL_MALFORMED");
  });
});

describe("in the name of the well-behaved node's process", () => {
  it.each<[string, () => Term, ...Term[]]>([
    ["LINK", () => tuple(1, worker, watcher.pid)],
    ["EXIT", () => tuple(3, worker, watcher.pid, 1)],
    ["UNLINK", () => tuple(4, worker, watcher.pid)],
    ["EXIT2", () => tuple(8, worker, watcher.pid, 1)],
    ["EXIT_TT", () => tuple(13, worker, watcher.pid, 1, 1)],
    ["EXIT2_TT", () => tuple(18, worker, watcher.pid, 1, 1)],
    ["MONITOR_P", () => tuple(19, worker, watcher.pid, ref)],
    ["DEMONITOR_P", () => tuple(20, worker, watcher.pid, ref)],
    ["PAYLOAD_EXIT", () => tuple(24, worker, watcher.pid), 1],
    ["PAYLOAD_EXIT_TT", () => tuple(25, worker, watcher.pid, 1), 1],
    ["PAYLOAD_EXIT2", () => tuple(26, worker, watcher.pid), 1],
    ["PAYLOAD_EXIT2_TT", () => tuple(27, worker, watcher.pid, 1), 1],
    ["UNLINK_ID", () => tuple(35, 1, worker, watcher.pid)],
    ["UNLINK_ID_ACK", () => tuple(36, 1, worker, watcher.pid)],
  ])("%s", async (_name, control, ...body) => {
    await send(control(), ...body);
    await thrownOut("CONTROL_NOT_OWN");
    expect([watcher.alive, watcher.mailboxSize]).toEqual([true, 0]);
  });

  it("what was between the two is still there", async () => {
    watcher.send(worker, tuple(atom("stop"), atom("true_reason")));
    const got = [await watcher.receive(), await watcher.receive()] as Tuple[];
    expect(got.map((tuple_) => tuple_.elements.at(-1))).toEqual([atom("true_reason"), atom("true_reason")]);
    await until(() => watcher.mailboxSize === 0);
  });
});

describe("for processes of other nodes", () => {
  it.each<[string, () => Term, ...Term[]]>([
    ["LINK", () => tuple(1, own, worker)],
    ["EXIT", () => tuple(3, own, worker, 1)],
    ["MONITOR_P", () => tuple(19, own, worker, ref)],
    ["PAYLOAD_MONITOR_P_EXIT", () => tuple(28, own, worker, ref), 1],
    ["SPAWN_REPLY", () => tuple(31, ref, worker, 0, own)],
    ["UNLINK_ID", () => tuple(35, 1, own, worker)],
  ])("%s", async (_name, control, ...body) => {
    await send(control(), ...body);
    await thrownOut("CONTROL_MALFORMED");
  });

  it("messages and exit/2 are not passed on", async () => {
    const target = (await victim.node.processes.erpc.call(
      victim.beam.node,
      "isthmus_scenarios",
      "worker",
      [],
    )) as Pid;
    await send(tuple(22, own, target), tuple(atom("stop"), atom("x")));
    await attacker.frame(HEADER, bare(tuple(26, own, target)), bare(atom("kill")));
    await attacker.frame(HEADER, bare(tuple(7, own, target)));
    await victim.unharmed();
    expect(
      await victim.node.processes.erpc.call(victim.beam.node, "erlang", "is_process_alive", [target]),
    ).toBe(true);
  });
});
