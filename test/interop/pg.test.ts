import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type HiddenNode, type Process, startNode } from "@isthmus/core";
import {
  atom,
  compareTermsExact,
  decode,
  encode,
  equals,
  Float,
  inspectTerm,
  type Pid,
  type Term,
  TermMap,
  tuple,
} from "@isthmus/etf";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type PgEvent, type PgScope, startPg, startPhoenixPubSub } from "../../packages/core/src/pg/index.ts";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import { OwnedProcess } from "../support/owned-process.ts";
import { eachOtp, type OtpRelease } from "../support/peers.ts";

const COOKIE = "groups";
const SOON = { timeout: 30_000, interval: 20 };

let epmd: Epmd;
let count = 0;
const nodes: HiddenNode[] = [];

beforeAll(async () => {
  epmd = await startEpmd();
});
afterAll(() => epmd.stop());
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.close()));
});

async function ourNode(): Promise<HiddenNode> {
  const node = await startNode({
    name: `js${++count}@127.0.0.1`,
    cookie: COOKIE,
    listen: { host: "127.0.0.1" },
    epmd: { host: "127.0.0.1", port: epmd.port },
  });
  nodes.push(node);
  return node;
}

/** A BEAM that keeps every event of level error or worse in the collector `reports`. */
async function startReportingBeam(otp: OtpRelease, args: string[] = []): Promise<Beam> {
  const name = `beam${++count}@127.0.0.1`;
  const beam = await startBeam({ name, cookie: COOKIE, epmdPort: epmd.port, otp, args });
  await beam.eval(`isthmus_probe:collect(reports),
    logger:add_primary_filter(reports, {fun(#{level := Level} = Event, _) ->
      logger:compare_levels(Level, error) =:= lt orelse (reports ! maps:get(msg, Event)), ignore end, none})`);
  return beam;
}

/** The value of an expression, as a term. */
async function value(on: Beam, expression: string): Promise<Term> {
  const text = await on.eval(
    `base64:encode_to_string(term_to_binary((fun() -> ${expression} end)()))`.replaceAll("\n", " "),
  );
  return decode(Buffer.from(JSON.parse(text) as string, "base64"));
}

/** A term as an expression. */
const erlang = (term: Term): string => `binary_to_term(base64:decode("${encode(term).toString("base64")}"))`;
const sorted = (pids: readonly Pid[]): readonly Pid[] => [...pids].sort(compareTermsExact);
const text = (pids: readonly Pid[]): string => inspectTerm(sorted(pids));
/** What that node has in a group. */
const there = async (on: Beam, group: Term, scope = "pg"): Promise<string> =>
  text((await value(on, `pg:get_members('${scope}', ${erlang(group)})`)) as Pid[]);
/** A process there that does nothing; `stop` ends it. */
const idle = async (on: Beam): Promise<Pid> =>
  (await value(on, "spawn(fun() -> receive stop -> ok end end)")) as Pid;

/** Awaits that the node there and the scope here have the same members in each of the groups. */
async function agree(on: Beam, pg: PgScope, ...groups: Term[]): Promise<void> {
  for (const group of groups) {
    const differ = async (): Promise<string[]> => {
      const both = [await there(on, group, pg.scope), text(pg.members(group))];
      return both[0] === both[1] ? [] : both;
    };
    await expect.poll(differ, SOON).toEqual([]);
  }
}

const A = atom("a");
/** Groups whose names are of all kinds. */
const GROUPS: readonly Term[] = [
  A,
  "a binary",
  tuple(atom("room"), 7),
  new Float(7),
  7,
  [1, [2]],
  new TermMap([
    [atom("z"), 1],
    [atom("a"), new TermMap([["k", tuple()]])],
  ]),
];

/** Takes events from a monitor as they come; `seen` has "join G N" lines. */
function watch(events: AsyncIterable<PgEvent>): string[] {
  const seen: string[] = [];
  void (async () => {
    for await (const { type, group, pids } of events) {
      seen.push(`${type} ${inspectTerm(group)} ${text(pids)}`);
    }
    seen.push("end");
  })();
  return seen;
}

eachOtp("pg with a BEAM", ({ otp, release }) => {
  let beam: Beam;
  let node: HiddenNode;
  let pg: PgScope;
  /** The scope process there, which must never die of what we say. */
  let scopePid: string;

  const startScope = async (): Promise<void> => {
    await beam.eval("element(1, pg:start(pg))");
    scopePid = await beam.eval("whereis(pg)");
  };
  const theyJoin = (group: Term, ...pids: Pid[]): Promise<string> =>
    beam.eval(`pg:join(pg, ${erlang(group)}, ${erlang(pids)})`);
  const theyLeave = (group: Term, ...pids: Pid[]): Promise<string> =>
    beam.eval(`pg:leave(pg, ${erlang(group)}, ${erlang(pids)})`);

  beforeAll(async () => {
    beam = await startReportingBeam(otp);
  });
  beforeEach(async () => {
    await startScope();
    node = await ourNode();
    await node.connect(beam.node);
    pg = startPg(node, { discoverIntervalMs: 50 });
  });
  afterEach(async () => {
    expect(await beam.eval("whereis(pg)")).toBe(scopePid);
    expect(await beam.eval("isthmus_probe:collected(reports)")).toBe("[]");
    await beam.eval("gen_server:stop(pg)");
  });
  afterAll(() => beam.stop());

  it("members are known on both sides, whatever the name of the group", async () => {
    for (const group of GROUPS) {
      const [theirs, others] = [await idle(beam), await idle(beam)];
      const [ours, more] = [node.spawn(), node.spawn()];
      await theyJoin(group, theirs, others);
      pg.join(group, [ours, more]);
      await expect.poll(() => pg.members(group).length, SOON).toBe(4);
      await agree(beam, pg, group);
      expect(text(pg.members(group))).toBe(text([theirs, others, ours.pid, more.pid]));
      expect(text(pg.localMembers(group))).toBe(text([ours.pid, more.pid]));
      await theyLeave(group, others);
      expect(pg.leave(group, more)).toBe(true);
      await expect.poll(() => text(pg.members(group)), SOON).toBe(text([theirs, ours.pid]));
      await agree(beam, pg, group);
    }
    expect(pg.groups().length).toBe(GROUPS.length);
    expect(inspectTerm(pg.groups())).toBe(inspectTerm(pg.localGroups()));
    expect(await beam.eval("length(pg:which_groups(pg))")).toBe(String(GROUPS.length));
    expect(pg.nodes()).toEqual([beam.node]);
  });

  it("one that was there before us brings its members, and gets ours", async () => {
    const late = await ourNode();
    const theirs = await idle(beam);
    await theyJoin(A, theirs, theirs);
    const member = late.spawn();
    const scope = startPg(late);
    scope.join(A, member);
    scope.join("only here", member);
    await late.connect(beam.node);
    await expect.poll(() => text(scope.members(A)), SOON).toBe(text([theirs, theirs, member.pid]));
    await agree(beam, scope, A, "only here");
  });

  it("one that starts its scope when we are connected is found", async () => {
    await beam.eval("element(1, pg:start(later))");
    const early = startPg(node, { scope: "earlier", discoverIntervalMs: 50 });
    const later = startPg(node, { scope: "later", discoverIntervalMs: 50 });
    const member = node.spawn();
    early.join(A, member);
    await agree(beam, later, A);
    await beam.eval("element(1, pg:start(earlier))");
    await expect.poll(() => there(beam, A, "earlier"), SOON).toBe(text([member.pid]));
    expect(early.nodes()).toEqual([beam.node]);
    expect(later.members(A)).toEqual([]);
    await beam.eval("gen_server:stop(later), gen_server:stop(earlier)");
  });

  it("a member that joined twice leaves twice, and all at once when it ends", async () => {
    const ours = node.spawn();
    const theirs = await idle(beam);
    for (let i = 0; i < 3; i++) pg.join(A, ours);
    pg.join("b", ours);
    await theyJoin(A, theirs, theirs, theirs);
    await theyJoin("b", theirs);
    await expect.poll(() => pg.members(A).length, SOON).toBe(6);
    await agree(beam, pg, A, "b");
    pg.leave(A, ours);
    await theyLeave(A, theirs);
    await expect.poll(() => pg.members(A).length, SOON).toBe(4);
    await agree(beam, pg, A, "b");
    ours.exit();
    node.send(theirs, atom("stop"));
    await expect.poll(() => pg.groups(), SOON).toEqual([]);
    await agree(beam, pg, A, "b");
    expect(await beam.eval("pg:which_groups(pg)")).toBe("[]");
  });

  it("any order of joining, leaving and ending leaves both with the same members", async () => {
    const groups = GROUPS.slice(0, 3);
    let seed = 20_230 + release;
    const random = (below: number): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    const some = <T>(all: readonly T[]): T[] =>
      Array.from({ length: 1 + random(3) }, () => all[random(all.length)]!);
    // what both must have, in a way so plain that it is right
    const expected: Pid[][] = groups.map(() => []);
    const joined = (group: number, pids: readonly Pid[]) => void expected[group]!.push(...pids);
    const left = (group: number, pids: readonly Pid[]): void => {
      for (const pid of pids) {
        const at = expected[group]!.findIndex((other) => equals(other, pid));
        if (at >= 0) expected[group]!.splice(at, 1);
      }
    };
    const ended = (pid: Pid): void => {
      for (const [group, pids] of expected.entries()) left(group, Array(pids.length).fill(pid));
    };
    const ours: Process[] = [];
    const theirs: Pid[] = [];
    for (let round = 0; round < 30; round++) {
      while (ours.length < 4) ours.push(node.spawn());
      while (theirs.length < 3) theirs.push(await idle(beam));
      for (let step = 0; step < 12; step++) {
        const group = random(groups.length);
        const name = groups[group]!;
        const pids = some(ours).map((process) => process.pid);
        const join = random(2) === 0;
        if (join) pg.join(name, pids);
        else pg.leave(name, pids);
        (join ? joined : left)(group, pids);
        if (step % 4 > 0) continue;
        const others = some(theirs);
        const theyToo = random(2) === 0;
        await (theyToo ? theyJoin : theyLeave)(name, ...others);
        (theyToo ? joined : left)(group, others);
      }
      if (random(3) === 0) {
        const process = ours.shift()!;
        process.exit();
        ended(process.pid);
      }
      if (random(3) === 0) {
        const pid = theirs.shift()!;
        node.send(pid, atom("stop"));
        ended(pid);
      }
      // a scope that is asked again answers again
      if (random(4) === 0) await beam.eval(`{pg, '${node.name}'} ! {discover, whereis(pg)}`);
      if (random(4) === 0) await beam.eval(`pg ! {discover, ${erlang(pg.process.pid)}}`);
      if (round % 3 > 0) continue;
      for (const [group, name] of groups.entries()) {
        await expect.poll(() => text(pg.members(name)), SOON).toBe(text(expected[group]!));
        await agree(beam, pg, name);
      }
    }
  });

  it("members can be sent to from both sides", async () => {
    const ours = node.spawn();
    pg.join(A, ours);
    await theyJoin(A, (await value(beam, "isthmus_probe:collect(member)")) as Pid);
    await expect.poll(() => pg.members(A).length, SOON).toBe(2);
    await agree(beam, pg, A);
    for (const pid of pg.members(A)) node.send(pid, tuple(atom("from"), atom("js")));
    await beam.eval(`[Pid ! {from, beam} || Pid <- pg:get_members(pg, a), node(Pid) =/= node()]`);
    expect(inspectTerm([await ours.receive(), await ours.receive()])).toBe("[{from, js}, {from, beam}]");
    expect(await beam.eval("isthmus_probe:collected(member, 1, 5000)")).toBe("[{from,js}]");
    await beam.eval("exit(whereis(member), kill)");
  });

  it("a scope of ours that is closed is forgotten there; a new one is known", async () => {
    const member = node.spawn();
    pg.join(A, member);
    const theirs = await idle(beam);
    await theyJoin(A, theirs);
    await expect.poll(() => pg.members(A).length, SOON).toBe(2);
    await agree(beam, pg, A);
    pg.close();
    await expect.poll(() => there(beam, A), SOON).toBe(text([theirs]));
    pg = startPg(node);
    pg.join(A, member);
    await expect.poll(() => pg.members(A).length, SOON).toBe(2);
    await agree(beam, pg, A);
  });

  it("a scope there that dies takes its members along, and is found again when it is back", async () => {
    const [member, theirs] = [node.spawn(), await idle(beam)];
    pg.join(A, member);
    await theyJoin(A, theirs);
    await expect.poll(() => pg.members(A).length, SOON).toBe(2);
    await beam.eval("exit(whereis(pg), kill)");
    await expect.poll(() => text(pg.members(A)), SOON).toBe(text([member.pid]));
    expect(pg.nodes()).toEqual([]);
    await startScope();
    await theyJoin(A, theirs);
    await expect.poll(() => text(pg.members(A)), SOON).toBe(text([member.pid, theirs]));
    await agree(beam, pg, A);
  });

  it("a lost connection takes the members of both along, until it is back", async () => {
    const [member, theirs] = [node.spawn(), await idle(beam)];
    pg.join(A, member);
    await theyJoin(A, theirs);
    const both = text([member.pid, theirs]);
    const cuts = [
      async () => node.disconnect(beam.node),
      () => beam.eval(`erlang:disconnect_node('${node.name}')`),
    ];
    for (const cut of cuts) {
      await expect.poll(() => text(pg.members(A)), SOON).toBe(both);
      await agree(beam, pg, A);
      await cut();
      await expect.poll(() => text(pg.members(A)), SOON).toBe(text([member.pid]));
      await expect.poll(() => there(beam, A), SOON).toBe(text([theirs]));
      // what changes meanwhile is known afterwards
      const meanwhile = node.spawn();
      pg.join("meanwhile", meanwhile);
      await node.connect(beam.node);
      await expect.poll(() => there(beam, "meanwhile"), SOON).toBe(text([meanwhile.pid]));
      meanwhile.exit();
    }
    await expect.poll(() => text(pg.members(A)), SOON).toBe(both);
    await agree(beam, pg, A, "meanwhile");
  });

  it("connections that are lost and made again at once leave nothing wrong behind", async () => {
    const [member, theirs] = [node.spawn(), await idle(beam)];
    pg.join(A, member);
    await theyJoin(A, theirs);
    for (let i = 0; i < 30; i++) {
      node.disconnect(beam.node);
      await node.connect(beam.node);
    }
    await expect.poll(() => text(pg.members(A)), SOON).toBe(text([member.pid, theirs]));
    await agree(beam, pg, A);
    pg.leave(A, member);
    await theyLeave(A, theirs);
    await expect.poll(() => pg.groups(), SOON).toEqual([]);
    await agree(beam, pg, A);
  });

  it("members of a node that is killed are gone; those of others stay", async () => {
    const other = await startReportingBeam(otp);
    await other.eval("element(1, pg:start(pg))");
    await node.connect(other.node);
    const [theirs, killed] = [await idle(beam), await idle(other)];
    await theyJoin(A, theirs);
    await other.eval(`pg:join(pg, a, ${erlang(killed)})`);
    const events = watch(pg.monitor(A));
    await expect.poll(() => text(pg.members(A)), SOON).toBe(text([theirs, killed]));
    await other.kill();
    await expect.poll(() => text(pg.members(A)), SOON).toBe(text([theirs]));
    expect(events.at(-1)).toBe(`leave a ${text([killed])}`);
    expect(pg.nodes()).toEqual([beam.node]);
  });

  it("our monitors tell who joins and leaves there", async () => {
    const [one, two] = [await idle(beam), await idle(beam)];
    await theyJoin(A, one);
    await expect.poll(() => pg.members(A).length, SOON).toBe(1);
    const all = pg.monitorScope();
    const group = pg.monitor("b");
    expect(inspectTerm(all.members.map(([name, pids]) => tuple(name, pids)))).toBe(
      inspectTerm([tuple(A, [one])]),
    );
    expect(group.members).toEqual([]);
    const [seen, seenOfB] = [watch(all), watch(group)];
    await theyJoin("b", two);
    await theyLeave(A, one);
    node.send(two, atom("stop"));
    await expect.poll(() => seen.length, SOON).toBe(3);
    expect(seen).toEqual([
      `join <<"b">> ${text([two])}`,
      `leave a ${text([one])}`,
      `leave <<"b">> ${text([two])}`,
    ]);
    expect(seenOfB).toEqual([seen[0], seen[2]]);
    all.close();
    pg.close();
    await expect.poll(() => [seen.at(-1), seenOfB.at(-1)], SOON).toEqual(["end", "end"]);
  });

  // OTP 23 has no monitors of groups
  const itWithMonitors = release >= 25 ? it : undefined;
  itWithMonitors?.("their monitors tell who joins and leaves here", async () => {
    const watcher = "whereis(watcher)";
    await beam.eval("isthmus_probe:collect(watcher)");
    // what comes from a scope that they do not know yet they do not take
    const known = node.spawn();
    pg.join("known", known);
    const theySee = (): Promise<string> => beam.eval(`length(pg:get_members(pg, <<"known">>))`);
    await expect.poll(theySee, SOON).toBe("1");
    pg.leave("known", known);
    await expect.poll(theySee, SOON).toBe("0");
    const call = (call: string): Promise<string> =>
      beam.eval(`isthmus_probe:run(${watcher}, fun() -> ${call} end), ok`);
    await call("pg:monitor_scope(pg)");
    await call("pg:monitor(pg, a)");
    const [one, two] = [node.spawn(), node.spawn()];
    pg.join(A, [one, two]);
    pg.join("b", one);
    pg.leave(A, one);
    two.exit();
    pg.close();
    const said = async (): Promise<string[]> =>
      ((await value(beam, `isthmus_probe:collected(${watcher})`)) as Term[]).map((message) => {
        const [, what, group, pids] = message as Iterable<Term>;
        return `${inspectTerm(what as Term)} ${inspectTerm(group as Term)} ${text(pids as Pid[])}`;
      });
    const ofA = [
      `join a ${text([one.pid, two.pid])}`,
      `leave a ${text([one.pid])}`,
      `leave a ${text([two.pid])}`,
    ];
    const ofB = [`join <<"b">> ${text([one.pid])}`, `leave <<"b">> ${text([one.pid])}`];
    // of group a by both monitors
    await expect
      .poll(async () => (await said()).toSorted(), SOON)
      .toEqual([...ofA, ...ofA, ...ofB].toSorted());
    await beam.eval(`exit(${watcher}, kill)`);
  });
});

const elixirEbin = (): string =>
  execFileSync("elixir", ["-e", "IO.write(:code.lib_dir(:elixir, :ebin))"], { encoding: "utf8" });

eachOtp(
  "pg with a BEAM that does not know another, of OTP 25, that we are connected to",
  ({ otp }) =>
    it("both see us, and we see both", async () => {
      const beams = await Promise.all([startReportingBeam(25), startReportingBeam(otp)]);
      const node = await ourNode();
      const pg = startPg(node);
      const member = node.spawn();
      pg.join(A, member);
      const theirs: Pid[] = [];
      for (const beam of beams) {
        await beam.eval("element(1, pg:start(pg))");
        const pid = await idle(beam);
        theirs.push(pid);
        await beam.eval(`Scope = whereis(pg), pg:join(pg, a, ${erlang(pid)})`);
        await node.connect(beam.node);
      }
      await expect.poll(() => text(pg.members(A)), SOON).toBe(text([member.pid, ...theirs]));
      for (const [i, beam] of beams.entries()) {
        await expect.poll(() => there(beam, A), SOON).toBe(text([member.pid, theirs[i]!]));
      }
      member.exit();
      for (const [i, beam] of beams.entries()) {
        await expect.poll(() => there(beam, A), SOON).toBe(text([theirs[i]!]));
        expect(await beam.eval("{whereis(pg) =:= Scope, isthmus_probe:collected(reports)}")).toBe(
          "{true,[]}",
        );
        await beam.stop();
      }
    }),
  [27, 29],
);

eachOtp(
  "pg with a BEAM that knows another, of OTP 25, that we are connected to",
  ({ otp }) =>
    it("all have the same members, those of a second node of ours too", async () => {
      const beams = await Promise.all([startReportingBeam(25), startReportingBeam(otp)]);
      const [first, second] = beams;
      await Promise.all(beams.map((beam) => beam.eval("element(1, pg:start(pg)), Scope = whereis(pg), ok")));
      expect(await first.eval(`net_adm:ping('${second.node}')`)).toBe("pong");
      const [node, other] = [await ourNode(), await ourNode()];
      const scopes = [startPg(node), startPg(other)] as const;
      const all: Pid[] = [];
      for (const beam of beams) {
        await node.connect(beam.node);
        await other.connect(beam.node);
        const pid = await idle(beam);
        all.push(pid);
        await beam.eval(`pg:join(pg, a, ${erlang(pid)})`);
      }
      const [mine, others] = [node.spawn(), other.spawn()];
      scopes[0].join(A, mine);
      scopes[1].join(A, others);
      // two nodes of ours that are connected find each other as well
      await node.connect(other.name);
      all.push(mine.pid, others.pid);
      for (const scope of scopes) await expect.poll(() => text(scope.members(A)), SOON).toBe(text(all));
      for (const beam of beams) await agree(beam, scopes[0], A);
      scopes[1].leave(A, others);
      for (const scope of scopes) await expect.poll(() => scope.members(A).length, SOON).toBe(3);
      for (const beam of beams) {
        await agree(beam, scopes[0], A);
        expect(await beam.eval("{whereis(pg) =:= Scope, isthmus_probe:collected(reports)}")).toBe(
          "{true,[]}",
        );
        await beam.stop();
      }
    }),
  [23, 27],
);

describe("pg with a node of Elixir", () => {
  it("works as with Erlang", async () => {
    const beam = await startReportingBeam(25, ["-pa", elixirEbin()]);
    await beam.eval("application:ensure_all_started(elixir)");
    const elixir = (code: string): Promise<string> =>
      beam.eval(`element(1, 'Elixir.Code':eval_string(${erlang(code)}))`);
    await elixir("{:ok, _} = :pg.start(MyApp.Groups); :ok");
    const node = await ourNode();
    const pg = startPg(node, { scope: "Elixir.MyApp.Groups", discoverIntervalMs: 50 });
    const member = node.spawn();
    pg.join("users:1", member);
    await node.connect(beam.node);
    await elixir(
      'pid = spawn(fn -> Process.sleep(:infinity) end); :ok = :pg.join(MyApp.Groups, "users:1", pid)',
    );
    await expect.poll(() => pg.members("users:1").length, SOON).toBe(2);
    await agree(beam, pg, "users:1");
    expect(
      await elixir(
        `for pid <- :pg.get_members(MyApp.Groups, "users:1"), node(pid) != node(), do: send(pid, %{from: :elixir})`,
      ),
    ).toMatch(/^\[/u);
    expect(inspectTerm(await member.receive())).toBe("#{from => elixir}");
    expect(await beam.eval("isthmus_probe:collected(reports)")).toBe("[]");
    await beam.stop();
  });
});

const SERVER = "MyApp.PubSub";
const SCOPE = "'Elixir.Phoenix.PubSub'";
const WORKER = "'Elixir.MyApp.PubSub.Adapter'";

eachOtp("a topic of Phoenix.PubSub, whose protocol is acted out with pg", ({ otp }) => {
  let beam: Beam;
  const forward = (topic: string, message: string): string =>
    `{forward_to_local, <<"${topic}">>, ${message}, ${SCOPE}}`;
  const collected = (worker: string): Promise<string> => beam.eval(`isthmus_probe:collected(${worker})`);

  beforeAll(async () => {
    beam = await startReportingBeam(otp);
    await beam.eval(`element(1, pg:start(${SCOPE})), Scope = whereis(${SCOPE}),
      pg:join(${SCOPE}, ${WORKER}, isthmus_probe:collect(${WORKER}))`);
  });
  afterAll(async () => {
    expect(await beam.eval(`{whereis(${SCOPE}) =:= Scope, isthmus_probe:collected(reports)}`)).toBe(
      "{true,[]}",
    );
    await beam.stop();
  });

  it("brings what is broadcast there, and takes what we broadcast", async () => {
    const [node, other] = [await ourNode(), await ourNode()];
    const pubsub = startPhoenixPubSub(node, { name: SERVER, poolSize: 2 });
    const others = startPhoenixPubSub(other, { name: atom(SERVER) });
    const heard: string[] = [];
    for (const [who, server] of [
      ["one", pubsub],
      ["other", others],
    ] as const) {
      server.subscribe("news", ({ topic, message, dispatcher }) =>
        heard.push(`${who} ${topic} ${inspectTerm(message)} ${dispatcher.text}`),
      );
    }
    for (const each of [node, other]) await each.connect(beam.node);
    await node.connect(other.name);
    await expect.poll(() => pubsub.nodes().toSorted(), SOON).toEqual([beam.node, other.name].toSorted());
    await expect.poll(() => beam.eval(`length(pg:get_members(${SCOPE}, ${WORKER}))`), SOON).toBe("3");

    const broadcast = (worker: string, message: string): Promise<string> =>
      beam.eval(`[P ! ${message} || P <- pg:get_members(${SCOPE}, ${worker}), node(P) =/= node()], ok`);
    await broadcast(WORKER, forward("elsewhere", "1"));
    await broadcast(WORKER, forward("news", "#{n => 1}"));
    await expect
      .poll(() => heard.toSorted(), SOON)
      .toEqual(["one news #{n => 1} Elixir.Phoenix.PubSub", "other news #{n => 1} Elixir.Phoenix.PubSub"]);
    heard.length = 0;
    // the second of the pool, and one node by name
    await broadcast("'Elixir.MyApp.PubSub.Adapter_2'", forward("news", "2"));
    await expect.poll(() => heard, SOON).toEqual(["one news 2 Elixir.Phoenix.PubSub"]);
    heard.length = 0;
    await beam.eval(`{${WORKER}, '${other.name}'} ! ${forward("news", "3")}`);
    await expect.poll(() => heard, SOON).toEqual(["other news 3 Elixir.Phoenix.PubSub"]);
    heard.length = 0;

    pubsub.broadcast("news", tuple(atom("hello"), "ü"), { dispatcher: "Elixir.MyApp.Dispatcher" });
    pubsub.directBroadcast(beam.node, "direct", 4);
    await expect
      .poll(() => collected(WORKER), SOON)
      .toBe(
        `[{forward_to_local,<<"news">>,{hello,<<"ü"/utf8>>},'Elixir.MyApp.Dispatcher'},{forward_to_local,<<"direct">>,4,${SCOPE}}]`,
      );
    await expect.poll(() => heard.length, SOON).toBe(2);
    pubsub.close();
    await expect.poll(() => others.nodes(), SOON).toEqual([beam.node]);
  });
});

describe("the example", () => {
  const folder = fileURLToPath(new URL("../../examples/pubsub/", import.meta.url));

  it("hears and is heard", async () => {
    const beam = await startReportingBeam(25, ["-pa", elixirEbin()]);
    await beam.eval(
      `application:ensure_all_started(elixir), 'Elixir.Code':eval_file(<<"${folder}chat.exs">>), ok`,
    );
    const run = (...text: string[]): Promise<OwnedProcess> =>
      OwnedProcess.start(
        "pubsub.mjs",
        process.execPath,
        [`${folder}pubsub.mjs`, beam.node, "Chat.PubSub", "room:lobby", ...text],
        { COOKIE, ERL_EPMD_PORT: String(epmd.port) },
      );
    const listener = await run();
    await expect.poll(() => listener.output, SOON).toContain(`connected to ${beam.node}`);
    const members = "length(pg:get_members('Elixir.Phoenix.PubSub', 'Elixir.Chat.PubSub.Adapter'))";
    await expect.poll(() => beam.eval(members), SOON).toBe("2");
    const speaker = await run("hello");
    expect(await speaker.exited).toEqual({ code: 0, signal: null });
    const answer = 'room:lobby: {:say, "host", "welcome, js"}\n';
    expect(speaker.output).toBe(`connected to ${beam.node}\n${answer}`);
    await expect.poll(() => listener.output, SOON).toBe(`connected to ${beam.node}\n${answer}`);
    await expect.poll(() => beam.output, SOON).toContain("room:lobby: js says hello");
    listener.signal("SIGINT");
    expect(await listener.exited).toEqual({ code: 0, signal: null });
    await expect.poll(() => beam.eval(members), SOON).toBe("1");
    expect(await beam.eval("isthmus_probe:collected(reports)")).toBe("[]");
    await beam.stop();
  });
});
