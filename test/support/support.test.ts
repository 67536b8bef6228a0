import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Beam, EvaluationError, startBeam } from "./beam.ts";
import { type Epmd, startEpmd } from "./epmd.ts";
import { OwnedProcess } from "./owned-process.ts";
import { eachOtp, otpReleases, requireOtp } from "./peers.ts";
import { ProbeChannel } from "./probe-channel.ts";
import { marked } from "./tidy.ts";

const cookie = "support_cookie";

eachOtp("the harness", ({ otp, release }) => {
  let epmd: Epmd;
  let a: Beam;
  let b: Beam;

  beforeAll(async () => {
    epmd = await startEpmd({ otp });
    const common = { cookie, epmdPort: epmd.port, otp };
    [a, b] = await Promise.all([
      startBeam({ ...common, name: "a1@127.0.0.1" }),
      startBeam({ ...common, name: "b1@127.0.0.1", hidden: true, args: ["-isthmus", "flag", "on"] }),
    ]);
  });
  afterAll(async () => {
    await Promise.all([a?.stop(), b?.stop()]);
    await epmd?.stop();
  });

  it("starts nodes of that release, which find each other by their own epmd", async () => {
    expect(a.release).toBe(release);
    expect(await a.eval("erlang:system_info(otp_release)")).toBe(`"${release}"`);
    expect(await a.eval("node()")).toBe("'a1@127.0.0.1'");
    expect(await a.eval("{ok, Names} = erl_epmd:names(), lists:sort([Name || {Name, _} <- Names])")).toBe(
      '["a1","b1"]',
    );
    expect(await a.eval("net_adm:ping('b1@127.0.0.1')")).toBe("pong");
    expect(await a.eval("{nodes(), nodes(hidden)}")).toBe("{[],['b1@127.0.0.1']}");
    expect(await b.eval("init:get_argument(isthmus)")).toBe('{ok,[["flag","on"]]}');
  });

  it("listens on loopback only", async () => {
    expect(
      await a.eval("lists:usort([Ip || P <- erlang:ports(), {ok, {Ip, _}} <- [inet:sockname(P)]])"),
    ).toBe("[{127,0,0,1}]");
  });

  it("evaluates in one process, whose bindings stay", async () => {
    expect(await a.eval("X = 20, Self = self()")).toMatch(/^<0\.\d+\.0>$/);
    expect(await a.eval("Y = X + 22.")).toBe("42");
    expect(await a.eval("{Y, self() =:= Self}\n")).toBe("{42,true}");
    expect(await Promise.all([a.eval("Z = 1"), a.eval("Z + 1"), a.eval("Z + 2")])).toEqual(["1", "2", "3"]);
  });

  it("prints any value on one line", async () => {
    expect(await a.eval("lists:seq(1, 200)")).not.toContain("\n");
    expect(await a.eval('{<<"tö"/utf8>>, \'Zażółć\', [8364], "a\\nb"}')).toBe(
      '{<<"tö"/utf8>>,\'Zażółć\',"€","a\\nb"}',
    );
    expect((await a.eval("binary:copy(<<0>>, 300000)")).length).toBe(600_003);
  });

  it("rejects with the reason, and keeps the process and its bindings", async () => {
    await a.eval("Kept = self()");
    const rejected = async (expression: string): Promise<EvaluationError> => {
      const error = await a.eval(expression).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(EvaluationError);
      return error as EvaluationError;
    };
    expect((await rejected("Kept = 2")).reason).toMatch(/^error:\{badmatch,2\}/);
    expect((await rejected('exit({shutdown, "é"})')).reason).toBe('exit:{shutdown,"é"}');
    expect((await rejected("throw(ball)")).reason).toBe("throw:ball");
    expect(await rejected("lists:nothing(1)")).toMatchObject({
      reason: "error:undef",
      message: expect.stringContaining("in lists:nothing/1\n  in: lists:nothing(1)"),
    });
    expect((await rejected("1 +")).reason).toMatch(/^syntax:/);
    expect((await rejected("'unfinished")).reason).toMatch(/^syntax:/);
    expect((await rejected("Unbound")).reason).toMatch(/unbound/);
    expect(await a.eval("Kept =:= self()")).toBe("true");
  });

  it("gives up after the timeout with the node's output, and goes on with the bindings of before", async () => {
    await a.eval('io:format("before the wait: ~ts~n", ["ż"]), Before = 7');
    const waiting = a.eval("receive never -> ok end", { timeoutMs: 200 });
    await expect(waiting).rejects.toThrow(
      /a1@127\.0\.0\.1: timeout after 200 ms; .*printed:[\s\S]*before the wait: ż/,
    );
    expect(await a.eval("Before")).toBe("7");
  });

  it("tells that its process was ended, then goes on", async () => {
    await a.eval("After = 8");
    await expect(a.eval("exit(self(), kill), receive never -> ok end")).rejects.toThrow(
      "evaluator_died:killed",
    );
    await a.eval("Victim = self(), spawn(fun() -> timer:sleep(50), exit(Victim, kill) end)");
    await a.eval("spawn(fun() -> ok end)");
    await expect
      .poll(() => a.eval("Victim =:= self()").catch((error: EvaluationError) => error.reason))
      .not.toBe("true");
    expect(await a.eval("After")).toBe("8");
  });

  it("the mailbox belongs to the expressions", async () => {
    await a.eval("self() ! one, self() ! two");
    expect(await a.eval("receive two -> seen end")).toBe("seen");
    expect(await a.eval("receive M1 -> M1 after 0 -> none end")).toBe("one");
    expect(await a.eval("receive M2 -> M2 after 100 -> none end")).toBe("none");
  });

  it("orders: a gen_server that answers from the other node", async () => {
    await b.eval("Orders = isthmus_probe:orders(orders)");
    const call = (request: string) => a.eval(`gen_server:call({orders, 'b1@127.0.0.1'}, ${request})`);
    expect(await call("{echo, #{k => [1, 2.5]}}")).toBe("#{k => [1,2.5]}");
    expect(await call("{add, 20, 22}")).toBe("42");
    expect(await call("{later, 50, tomorrow}")).toBe("tomorrow");
    expect(await call("{whoami}")).toMatch(/^\{<\d+\.\d+\.0>,'b1@127\.0\.0\.1'\}$/);
    expect(await a.eval("catch gen_server:call({orders, 'b1@127.0.0.1'}, never, 50)")).toContain("{timeout,");
    await b.eval("gen_server:cast(orders, {note, n1}), gen_server:cast(orders, {note, n2}), orders ! info");
    expect(await b.eval("{gen_server:call(orders, notes), gen_server:call(orders, infos)}")).toBe(
      "{[n1,n2],[info]}",
    );
    await a.eval("gen_server:cast({orders, 'b1@127.0.0.1'}, {forward, self(), hello})");
    expect(await a.eval("receive hello -> got after 5000 -> none end")).toBe("got");
    expect(await a.eval("catch gen_server:call({orders, 'b1@127.0.0.1'}, {stop, done})")).toContain("{done,");
    expect(
      await b.eval("isthmus_probe:orders(orders), catch gen_server:call(orders, {crash, boom})"),
    ).toContain("{boom,");
    expect(await b.eval("whereis(orders)")).toBe("undefined");
  });

  it("collectors: messages, monitors and links across nodes", async () => {
    await b.eval("Box = isthmus_probe:collect(box)");
    await a.eval("{box, 'b1@127.0.0.1'} ! m1, {box, 'b1@127.0.0.1'} ! m2");
    expect(await b.eval("isthmus_probe:collected(box, 2, 5000)")).toBe("[m1,m2]");
    expect(await b.eval("isthmus_probe:collected(box, 3, 50)")).toBe("[m1,m2]");
    expect(await b.eval("isthmus_probe:forget(box), isthmus_probe:collected(box)")).toBe("[]");

    await a.eval("{Watcher, Ref} = isthmus_probe:watch({box, 'b1@127.0.0.1'})");
    await a.eval("Linked = isthmus_probe:linked(rpc:call('b1@127.0.0.1', erlang, whereis, [box]))");
    // what a sent before the ping has reached b when the ping is answered
    await a.eval("net_adm:ping('b1@127.0.0.1')");
    await b.eval("exit(Box, gone)");
    expect(
      await a.eval(
        "[{'DOWN', Ref, process, Obj, Why}] = isthmus_probe:collected(Watcher, 1, 5000), {Obj, Why}",
      ),
    ).toBe("{{box,'b1@127.0.0.1'},gone}");
    expect(
      await a.eval("[{'EXIT', From, Why2}] = isthmus_probe:collected(Linked, 1, 5000), {node(From), Why2}"),
    ).toBe("{'b1@127.0.0.1',gone}");
    expect(await a.eval("isthmus_probe:run(Linked, fun() -> self() end) =:= Linked")).toBe("true");
  });

  it("pause and resume", async () => {
    await a.pause();
    await expect(a.eval("1", { timeoutMs: 300 })).rejects.toThrow("timeout after 300 ms");
    a.resume();
    expect(await a.eval("1 + 1")).toBe("2");
    await b.pause();
    await b.stop();
    expect(b.running).toBe(false);
  });

  it("kill ends the node at once, and its peers notice", async () => {
    const c = await startBeam({ name: "c1@127.0.0.1", cookie, epmdPort: epmd.port, otp });
    expect(await a.eval("monitor_node('c1@127.0.0.1', true), net_adm:ping('c1@127.0.0.1')")).toBe("pong");
    const cut = c.eval("receive never -> ok end");
    const seen = expect(cut).rejects.toThrow("c1@127.0.0.1: nodedown");
    await c.kill();
    await seen;
    expect(await a.eval("receive {nodedown, Node} -> Node after 5000 -> none end")).toBe("'c1@127.0.0.1'");
    await expect(c.eval("1")).rejects.toThrow("nodedown");
    await c.stop();
  });

  it("a node that cannot start says why", async () => {
    const twin = startBeam({ name: "a1@127.0.0.1", cookie, epmdPort: epmd.port, otp });
    await expect(twin).rejects.toThrow(/Node a1@127\.0\.0\.1 ended with status 1[\s\S]*printed:[\s\S]+/);
    await expect(startBeam({ name: "d1@127.0.0.1", cookie, epmdPort: 1, otp })).rejects.toThrow("ended with");
  });
});

describe("epmd", () => {
  it("can be ended and started again on its port; a taken port is an error", async () => {
    const first = await startEpmd();
    await expect(startEpmd({ port: first.port })).rejects.toThrow(`epmd did not start on port ${first.port}`);
    await first.stop();
    await first.stop();
    const second = await startEpmd({ port: first.port });
    expect(second.port).toBe(first.port);
    await second.kill();
  });

  it("paused, it accepts but answers nothing", async () => {
    const epmd = await startEpmd();
    await epmd.pause();
    const socket = connect(epmd.port, "127.0.0.1", () => socket.write(Uint8Array.of(0, 1, 110)));
    const answered = new Promise<string>((resolve) => {
      socket.once("data", () => resolve("answered"));
      setTimeout(resolve, 300, "silent");
    });
    expect(await answered).toBe("silent");
    epmd.resume();
    await new Promise((resolve) => socket.once("close", resolve));
    await epmd.stop();
  });
});

describe("peers", () => {
  it("knows the releases that are there, and PATH's own release", () => {
    const releases = otpReleases().map(({ otp }) => otp);
    expect(releases).toContain(25);
    expect(releases).toEqual([...releases].sort());
    expect(requireOtp().release).toBeGreaterThanOrEqual(25);
  });
});

describe("tidiness", () => {
  it("sees the processes it started, with their descendants, until they end", async () => {
    const epmd = await startEpmd();
    const beam = await startBeam({ name: "e1@127.0.0.1", cookie, epmdPort: epmd.port });
    expect(marked().map((line) => Number.parseInt(line, 10))).toEqual(
      expect.arrayContaining([epmd.pid, beam.pid]),
    );
    expect(marked().join("\n")).toContain("erl_child_setup");
    await Promise.all([beam.kill(), epmd.stop()]);
    await expect.poll(marked).toEqual([]);
  });

  it("a node ends when the process that started it goes away", async () => {
    const { erl, ebin } = requireOtp();
    const channel = await ProbeChannel.listen();
    const args = ["-noinput", "-pa", ebin, "-s", "isthmus_probe"];
    const node = await OwnedProcess.start("orphan", erl, args, { ISTHMUS_PROBE: channel.address });
    await channel.connected;
    // what the kernel does when a test process is killed
    channel.close();
    expect(await node.exited).toEqual({ code: 0, signal: null });
  });
});
