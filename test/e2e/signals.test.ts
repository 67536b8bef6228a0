import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BRIDGE, startTwoClusters, type TwoClusters, until } from "./two-clusters.ts";

// The same from both sides: cluster "a" calls into "b", and "b" into "a".
describe.each([
  ["a", "b"],
  ["b", "a"],
] as const)("what a process of cluster %s can do with one of cluster %s", (here, there) => {
  let clusters: TwoClusters;

  beforeAll(async () => {
    clusters = await startTwoClusters({
      otpA: 25,
      otpB: 25,
      // everything but exit/2 is allowed without a rule
      bridge: { policy: [{ action: "allow", pid: true, operations: ["exit"] }] },
    });
    await Promise.all([
      clusters.a.eval("isthmus_probe:orders(orders)"),
      clusters.b.eval("isthmus_probe:orders(orders)"),
    ]);
  });
  afterAll(() => clusters?.stop());

  const near = (code: string) => clusters[here].eval(code);
  const far = (code: string) => clusters[there].eval(code);
  const orders = `{orders, ${BRIDGE}}`;

  it("gen_server:call gets its answer", async () => {
    expect(await near(`gen_server:call(${orders}, {add, 20, 22})`)).toBe("42");
  });

  it("terms of every kind come back unchanged", async () => {
    const term = `#{a => [1, 2.5, <<"bin">>, <<5:3>>, "text", 'Atom \\x{e9}', [x|y], 1 bsl 70, -1], {t} => fun lists:map/2,
      <<"k">> => #{deep => {}}, list => lists:seq(1, 300), big => binary:copy(<<7>>, 200000)}`;
    expect(await near(`T = ${term}, T =:= gen_server:call(${orders}, {echo, T})`)).toBe("true");
  });

  it("our own pids, references and ports come back as themselves", async () => {
    expect(
      await near(`P = {self(), make_ref(), hd(erlang:ports()), spawn(fun() -> ok end)},
        P =:= gen_server:call(${orders}, {echo, P})`),
    ).toBe("true");
  });

  it("cast and ! arrive", async () => {
    await near(`gen_server:cast(${orders}, {note, {cast, ${here}}}), ${orders} ! {info, ${here}}`);
    await until(
      async () => (await far("gen_server:call(orders, infos)")).includes(`{info,${here}}`),
      "the message has come",
    );
    expect(await far("gen_server:call(orders, notes)")).toContain(`{cast,${here}}`);
  });

  it("a pid of the far side is usable: its node is the bridge, and it answers", async () => {
    expect(
      await near(
        `{P2, N2} = gen_server:call(${orders}, whoami), {node(P2), N2, gen_server:call(P2, {add, 1, 2})}`,
      ),
    ).toBe(`{${BRIDGE},'${there}1@127.0.0.1',3}`);
  });

  it("an answer may come later, from another process", async () => {
    expect(await near(`gen_server:call(${orders}, {later, 50, tomorrow})`)).toBe("tomorrow");
  });

  it("a call that is not answered in time exits with timeout, and the late answer goes nowhere", async () => {
    expect(await near(`catch gen_server:call(${orders}, {later, 300, late}, 50)`)).toContain("{timeout,");
    expect(await near("receive M -> M after 600 -> nothing end")).toBe("nothing");
  });

  it("a pid in a message is sent to from the far side", async () => {
    await near(`gen_server:cast(${orders}, {forward, self(), {hello, from, far}})`);
    expect(await near("receive M1 -> M1 after 5000 -> nothing end")).toBe("{hello,from,far}");
  });

  it("monitor by pid and by name: DOWN with the true reason", async () => {
    const reply =
      await near(`Worker = gen_server:call(${orders}, {spawn_worker}), R1 = erlang:monitor(process, Worker),
      Worker ! {stop, {true_reason, [1]}},
      receive {'DOWN', R1, process, Worker, Why1} -> Why1 after 5000 -> nothing end`);
    expect(reply).toBe("{true_reason,[1]}");
    const byName =
      await near(`R1b = erlang:monitor(process, ${orders}), gen_server:cast(${orders}, {stop, by_name}),
      receive {'DOWN', R1b, process, Whom, Why1b} -> {Whom, Why1b} after 5000 -> nothing end`);
    expect(byName).toBe(`{{orders,${BRIDGE}},by_name}`);
    await far("isthmus_probe:orders(orders)");
  });

  it("noproc for a name that is not there, and for a process that has ended", async () => {
    expect(
      await near(
        `R2 = erlang:monitor(process, {nobody, ${BRIDGE}}), receive {'DOWN', R2, process, X2, Y2} -> {X2, Y2} after 5000 -> nothing end`,
      ),
    ).toBe(`{{nobody,${BRIDGE}},noproc}`);
    expect(
      await near(`Gone = gen_server:call(${orders}, {spawn_worker}), Gone ! {stop, normal}, timer:sleep(100),
        R3 = erlang:monitor(process, Gone), receive {'DOWN', R3, process, Gone, Y3} -> Y3 after 5000 -> nothing end`),
    ).toBe("noproc");
  });

  it("demonitor is carried, and says nothing afterwards", async () => {
    expect(
      await near(`W4 = gen_server:call(${orders}, {spawn_worker}), R4 = erlang:monitor(process, W4), true = erlang:demonitor(R4),
        W4 ! {stop, x}, receive M4 -> M4 after 300 -> nothing end`),
    ).toBe("nothing");
    await until(() => clusters.bridge.status().relations === 0, "no relation is left");
  });

  it("link: the exit comes with its reason; unlink ends it; exit/2 reaches the far process", async () => {
    expect(
      await near(`process_flag(trap_exit, true), W5 = gen_server:call(${orders}, {spawn_worker}), link(W5), W5 ! {stop, linked_reason},
        receive {'EXIT', W5, Why5} -> Why5 after 5000 -> nothing end`),
    ).toBe("linked_reason");
    expect(
      await near(`W6 = gen_server:call(${orders}, {spawn_worker}), link(W6), unlink(W6), W6 ! {stop, x},
        receive M6 -> M6 after 300 -> nothing end`),
    ).toBe("nothing");
    expect(
      await near(`W7 = gen_server:call(${orders}, {spawn_worker}), R7 = erlang:monitor(process, W7), exit(W7, kill),
        receive {'DOWN', R7, process, W7, Why7} -> Why7 after 5000 -> nothing end`),
    ).toBe("killed");
    expect(
      await near(`W8 = gen_server:call(${orders}, {spawn_worker}), W8 ! {stop, normal}, timer:sleep(100), link(W8),
        receive {'EXIT', W8, Why8} -> Why8 after 5000 -> nothing end`),
    ).toBe("noproc");
    await until(() => clusters.bridge.status().relations === 0, "no relation is left");
  });

  it("a crash of the far server ends the call with its reason", async () => {
    await far("isthmus_probe:orders(brittle)");
    // not exported: only by pid
    expect(
      await near(
        `B9 = gen_server:call(${orders}, {whereis, brittle}), unlink(B9), catch gen_server:call(B9, {stop, my_reason})`,
      ),
    ).toMatch(/\{my_reason,/);
  });

  it("the bridge answers ping, and is seen by neither side's nodes()", async () => {
    expect(await near(`net_adm:ping(${BRIDGE})`)).toBe("pong");
    expect(await near("{nodes(), nodes(hidden)}")).toBe(`{[],[${BRIDGE}]}`);
    expect(await far("{nodes(), nodes(hidden)}")).toBe(`{[],[${BRIDGE}]}`);
  });

  it("what no route allows looks as if it did not exist, and is counted", async () => {
    const before = clusters.bridge.status().refused;
    await far("isthmus_probe:orders(secrets)");
    expect(await near(`catch gen_server:call({secrets, ${BRIDGE}}, {add, 1, 1})`)).toMatch(
      /^\{'EXIT',\{noproc,/,
    );
    expect(await near(`rpc:call(${BRIDGE}, os, cmd, ["id"])`)).toMatch(/^\{badrpc,\{'EXIT',\{undef,/);
    expect(await near(`{secrets, ${BRIDGE}} ! hello`)).toBe("hello");
    await until(() => clusters.bridge.status().refused >= before + 3, "the refusals are counted");
  });
});
