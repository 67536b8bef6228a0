import type { BridgeOptions } from "@isthmus/bridge";
import type { Logger } from "@isthmus/wire";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { BRIDGE, startTwoClusters, type TwoClusters, until } from "./two-clusters.ts";

const ORDERS = `{orders, ${BRIDGE}}`;

/** What the bridge logs. */
interface Line {
  readonly message: string;
  readonly [field: string]: unknown;
}

function recorder(): { readonly lines: Line[]; readonly logger: Logger } {
  const lines: Line[] = [];
  const note = (fields: Readonly<Record<string, unknown>>, message: string): void => {
    lines.push({ ...fields, message });
  };
  return { lines, logger: { debug: () => undefined, info: note, warn: note, error: note } };
}

async function start(
  options: Partial<BridgeOptions> & { readonly otp?: 25 | 27 | 29 } = {},
): Promise<TwoClusters & { readonly lines: Line[] }> {
  const { otp = 25, ...bridge } = options;
  const { lines, logger } = recorder();
  const clusters = await startTwoClusters({ otpA: otp, otpB: otp, bridge: { logger, ...bridge } });
  await Promise.all([
    clusters.a.eval("isthmus_probe:orders(orders)"),
    clusters.b.eval("isthmus_probe:orders(orders)"),
  ]);
  return Object.assign(clusters, { lines });
}

/** The mark that each way to take a node over tries to leave there. */
const OWN = "[kernel, owned, yes]";
const CALL = `{call, application, set_env, ${OWN}, self()}`;

// whoever knows a process of the other cluster: the server that is exported tells, as an application might
const pidOf = (name: string) => `gen_server:call(${ORDERS}, {whereis, ${name}})`;

describe.each([25, 29] as const)("what takes a node over is refused: OTP %i", (otp) => {
  let clusters: TwoClusters & { readonly lines: Line[] };

  beforeAll(async () => {
    clusters = await start({ otp });
    await clusters.b.eval("isthmus_probe:orders(safe), application:ensure_all_started(sasl)");
  });
  afterAll(() => clusters?.stop());

  it.each([
    ["spawn", `spawn(${BRIDGE}, application, set_env, ${OWN})`],
    ["spawn of a fun", `spawn(${BRIDGE}, fun() -> application:set_env(kernel, owned, yes) end)`],
    ["spawn_request", `spawn_request(${BRIDGE}, application, set_env, ${OWN}, [monitor])`],
    ["erpc", `erpc:call(${BRIDGE}, application, set_env, ${OWN})`],
    ["erpc of a fun", `erpc:call(${BRIDGE}, fun() -> application:set_env(kernel, owned, yes) end)`],
    ["erpc:cast", `erpc:cast(${BRIDGE}, application, set_env, ${OWN})`],
    ["rpc", `rpc:call(${BRIDGE}, application, set_env, ${OWN})`],
    ["rpc:cast", `rpc:cast(${BRIDGE}, application, set_env, ${OWN})`],
    ["rpc:block_call", `rpc:block_call(${BRIDGE}, application, set_env, ${OWN})`],
    ["rex by name", `gen_server:call({rex, ${BRIDGE}}, ${CALL})`],
    ["rex by name, as a plain message", `{rex, ${BRIDGE}} ! {self(), ${CALL}}`],
    ["rex by pid", `gen_server:call(${pidOf("rex")}, ${CALL})`],
    ["rex by pid, a cast", `gen_server:cast(${pidOf("rex")}, {cast, application, set_env, ${OWN}, self()})`],
    ["rex by pid, a plain message", `${pidOf("rex")} ! {self(), ${CALL}}`],
    [
      "net_kernel by name",
      `gen_server:call({net_kernel, ${BRIDGE}}, {spawn, application, set_env, ${OWN}, self()}, 300)`,
    ],
    [
      "net_kernel by pid",
      `gen_server:call(${pidOf("net_kernel")}, {spawn, application, set_env, ${OWN}, self()})`,
    ],
    [
      "a supervisor of the kernel by name",
      `supervisor:start_child({kernel_safe_sup, ${BRIDGE}}, #{id => x, start => {application, set_env, ${OWN}}})`,
    ],
    [
      "a supervisor of the kernel by pid",
      `supervisor:start_child(${pidOf("kernel_sup")}, #{id => x, start => {application, set_env, ${OWN}}})`,
    ],
    [
      "a supervisor of an application by pid",
      `supervisor:start_child(${pidOf("sasl_safe_sup")}, #{id => x, start => {application, set_env, ${OWN}}})`,
    ],
    ["an event manager by pid", `gen_event:add_handler(${pidOf("erl_signal_server")}, application, set_env)`],
    ["init:stop by name", `{init, ${BRIDGE}} ! {stop, stop}`],
    ["init:stop by pid", `${pidOf("init")} ! {stop, stop}`],
    ["init:restart by pid", `${pidOf("init")} ! {stop, restart}`],
    ["exit of init", `exit(${pidOf("init")}, kill)`],
    ["code_server by name", `{code_server, ${BRIDGE}} ! {code_call, self(), {delete, isthmus_orders}}`],
    ["code_server by pid", `${pidOf("code_server")} ! {code_call, self(), {delete, isthmus_orders}}`],
    ["erl_prim_loader by name", `{erl_prim_loader, ${BRIDGE}} ! {self(), {set_path, []}}`],
    ["erl_prim_loader by pid", `${pidOf("erl_prim_loader")} ! {self(), {set_path, []}}`],
    [
      "erl_prim_loader by pid, for a file",
      `${pidOf("erl_prim_loader")} ! {self(), {get_file, "/etc/hosts"}}`,
    ],
    [
      "application_controller by name",
      `gen_server:call({application_controller, ${BRIDGE}}, {set_env, kernel, owned, yes, []})`,
    ],
    [
      "application_controller by pid",
      `gen_server:call(${pidOf("application_controller")}, {set_env, kernel, owned, yes, []})`,
    ],
    ["global", `gen_server:call({global_name_server, ${BRIDGE}}, {set_lock, {owned, self()}})`],
    ["auth", `gen_server:call({auth, ${BRIDGE}}, {set_our_cookie, owned})`],
    ["the group leader of a process", `group_leader(self(), ${pidOf("orders")})`],
    [
      "io requests to user by name",
      `{user, ${BRIDGE}} ! {io_request, self(), make_ref(), {put_chars, unicode, application, set_env, ${OWN}}}`,
    ],
    [
      "io requests to user by pid",
      `${pidOf("user")} ! {io_request, self(), make_ref(), {put_chars, unicode, application, set_env, ${OWN}}}`,
    ],
    ["io:format to user", `io:format(${pidOf("user")}, "owned~n", [])`],
    ["error_logger", `{error_logger, ${BRIDGE}} ! {notify, {error, group_leader(), {self(), "owned", []}}}`],
    ["logger by name", `{logger, ${BRIDGE}} ! {log, error, "owned", [], #{}}`],
    ["logger by pid", `gen_server:call(${pidOf("logger")}, {set_config, primary, #{level => none}})`],
    ["suspend a server by name", `sys:suspend(${ORDERS})`],
    ["suspend a server by pid", `sys:suspend(${pidOf("orders")})`],
    ["replace its state", `sys:replace_state(${ORDERS}, fun(_) -> owned end)`],
    ["read its state", `{ok, sys:get_state(${ORDERS})}`],
    ["stop it", `gen_server:stop(${ORDERS}, kill, 2000)`],
    ["stop it by pid", `gen_server:stop(${pidOf("orders")}, kill, 2000)`],
    ["exit/2 by name", `exit(${ORDERS}, kill)`],
    ["exit/2 by pid", `exit(${pidOf("orders")}, kill)`],
    ["exit/2 by pid, not kill", `exit(${pidOf("orders")}, because)`],
    ["a message in the form of an exit", `${ORDERS} ! {'EXIT', self(), owned}`],
    ["a message in the form of an exit, by pid", `${pidOf("orders")} ! {'EXIT', self(), owned}`],
    [
      "a fun of the shell",
      `gen_server:cast(${ORDERS}, {note, fun() -> application:set_env(kernel, owned, yes) end})`,
    ],
    ["a fun of the shell, deep in a message", `${ORDERS} ! #{x => [{owned, fun() -> ok end}]}`],
  ])("%s", async (_what, attempt) => {
    const before = clusters.bridge.status().refused;
    const server = await clusters.b.eval("whereis(orders)");
    const bystander = clusters.b.eval(
      "{whereis(rex), whereis(code_server), whereis(init), erlang:get_cookie()}",
    );
    // several tries by the same way end at once: nobody waits for an answer that cannot come
    const began = await clusters.a.eval(`catch (${attempt})`, { timeoutMs: 4000 });
    expect(began).not.toMatch(/^\{ok,/);
    if (attempt.startsWith("exit({orders")) {
      // OTP itself knows no such thing
      expect(began).toContain("badarg");
    } else {
      await until(() => clusters.bridge.status().refused > before, "the refusal is counted");
    }
    // what follows on the same connection comes later
    expect(await clusters.a.eval(`gen_server:call(${ORDERS}, {add, 1, 2})`)).toBe("3");
    expect(await clusters.b.eval("application:get_env(kernel, owned)")).toBe("undefined");
    expect(await clusters.b.eval("whereis(orders)")).toBe(server);
    expect(
      await clusters.b.eval("{whereis(rex), whereis(code_server), whereis(init), erlang:get_cookie()}"),
    ).toBe(await bystander);
    expect(await clusters.b.eval("{group_leader(), code:is_loaded(isthmus_orders) =/= false}")).toMatch(
      /^\{<0\.\d+\.0>,true\}$/,
    );
    expect(
      await clusters.b.eval("element(2, process_info(whereis(orders), group_leader)) =:= group_leader()"),
    ).toBe("true");
    const kept = await clusters.b.eval("{gen_server:call(orders, notes), gen_server:call(orders, infos)}");
    expect(kept).toBe("{[],[]}");
    expect(clusters.b.output).not.toContain("owned");
  });

  it("the log says what was refused and by which rule, and never what was in it", () => {
    const audit = clusters.lines.filter(({ message }) => message.startsWith("refused"));
    expect(audit.length).toBeGreaterThan(20);
    const said = (fields: object) => expect(audit).toContainEqual(expect.objectContaining(fields));
    const [cluster, to, node] = ["a", "b", "a1@127.0.0.1"];
    said({ cluster, node, operation: "spawn", target: "application:set_env/3" });
    said({ cluster, node, operation: "call", target: "application_controller" });
    said({ cluster, to, node, operation: "system", target: "orders", rule: "default:deny" });
    said({ cluster, to, operation: "exit", target: "a process of b1@127.0.0.1", rule: "default:deny" });
    said({ cluster, to, operation: "spawn", target: "a process of b1@127.0.0.1" });
    said({ cluster, to, operation: "group_leader", rule: "default:deny" });
    said({ cluster, to, target: "a process of OTP on b1@127.0.0.1", rule: "default:kernel" });
    said({
      cluster,
      to,
      operation: "cast",
      target: "orders",
      rule: "routes[0]",
      reason: "a fun of erl_eval",
    });
    expect(JSON.stringify(clusters.lines)).not.toContain("owned");
  });
});

describe("a policy", () => {
  let clusters: TwoClusters & { readonly lines: Line[] };
  afterEach(() => clusters?.stop());

  const near = (code: string) => clusters.a.eval(code);
  const refused = () => clusters.bridge.status().refused;

  it("lets pass what its rules allow beyond the defaults", async () => {
    clusters = await start({
      policy: [
        { action: "allow", from: ["a"], to: ["b"], names: ["orders"], operations: ["system", "exit"] },
        { action: "allow", from: ["a"], names: ["orders"], funs: true },
        { action: "allow", from: ["a"], to: ["b"], pid: true, operations: ["exit", "group_leader", "io"] },
      ],
    });
    expect(await near(`{sys:suspend(${ORDERS}), sys:resume(${ORDERS})}`)).toBe("{ok,ok}");
    await near(`gen_server:cast(${ORDERS}, {note, fun() -> 1 end})`);
    // the answer, with a fun in it, may not cross
    expect(await near(`catch gen_server:call(${ORDERS}, notes, infinity)`)).toMatch(/^\{'EXIT',\{refused,/);
    expect(await clusters.b.eval("[F] = gen_server:call(orders, notes), F()")).toBe("1");
    await near(`W = gen_server:call(${ORDERS}, {spawn_worker}), true = group_leader(self(), W)`);
    await until(
      async () =>
        (await clusters.b.eval(
          "length([P || P <- processes(), {group_leader, G} <- [process_info(P, group_leader)], node(G) =/= node()])",
        )) === "1",
      "the group leader is set",
    );
    expect(
      await near(`R = erlang:monitor(process, W), exit(W, kill),
        receive {'DOWN', R, process, W, Why} -> Why after 5000 -> nothing end`),
    ).toBe("killed");
    expect(await near(`io:format(${pidOf("user")}, "printed by ~p~n", [node()])`)).toBe("ok");
    await until(() => clusters.b.output.includes("printed by 'a1@127.0.0.1'"), "it is printed");
    // the other direction has no such rules
    const before = refused();
    await clusters.b.eval(`catch sys:suspend(${ORDERS})`);
    expect(refused()).toBe(before + 1);
  });

  it("refuses operations of an exported name, at once", async () => {
    clusters = await start({
      policy: [
        { id: "casts-only", action: "deny", from: ["a"], to: ["b"], names: ["orders"], operations: ["call"] },
        { id: "no-watching", action: "deny", from: ["b"], operations: ["monitor"] },
      ],
    });
    expect(await near(`catch gen_server:call(${ORDERS}, {add, 1, 2}, 60000)`)).toMatch(/^\{'EXIT',\{noproc,/);
    expect(clusters.bridge.status().relations).toBe(0);
    await near(`gen_server:cast(${ORDERS}, {note, hello})`);
    await until(
      async () => (await clusters.b.eval("gen_server:call(orders, notes)")) === "[hello]",
      "the cast has come",
    );
    expect(
      await clusters.b.eval(`R = erlang:monitor(process, ${ORDERS}),
        receive {'DOWN', R, process, _, Why} -> Why after 5000 -> nothing end`),
    ).toBe("noproc");
    expect(clusters.lines).toContainEqual(
      expect.objectContaining({
        rule: "casts-only",
        cluster: "a",
        to: "b",
        operation: "call",
        target: "orders",
      }),
    );
    expect(clusters.lines).toContainEqual(
      expect.objectContaining({ rule: "no-watching", operation: "monitor" }),
    );
  });

  it("limits size and rate, and says so to callers", async () => {
    clusters = await start({
      policy: [
        {
          action: "allow",
          from: ["a"],
          names: ["orders"],
          maxBytes: 1000,
          operations: ["call"],
        },
        {
          action: "allow",
          from: ["a"],
          names: ["orders"],
          operations: ["cast"],
          rate: { perSecond: 1, burst: 5 },
        },
      ],
    });
    expect(await near(`gen_server:call(${ORDERS}, {echo, <<1>>})`)).toBe("<<1>>");
    expect(await near(`catch gen_server:call(${ORDERS}, {echo, binary:copy(<<1>>, 2000)}, 60000)`)).toMatch(
      /^\{'EXIT',\{system_limit,/,
    );
    const sent = 50;
    await near(`[gen_server:cast(${ORDERS}, {note, N}) || N <- lists:seq(1, ${sent})], ok`);
    await until(
      () => refused() > 1 && clusters.bridge.status().clusters[0]!.carried > 0,
      "some were refused",
    );
    expect(await near(`gen_server:call(${ORDERS}, {add, 1, 1})`)).toBe("2");
    const notes = Number(await clusters.b.eval("length(gen_server:call(orders, notes))"));
    expect(notes).toBeGreaterThanOrEqual(5);
    expect(notes).toBeLessThan(sent);
    expect(notes + refused() - 1).toBe(sent);
    const reasons = clusters.lines.map(({ reason }) => reason);
    expect(reasons).toContain("longer than max_bytes");
    expect(reasons).toContain("more than rate");
    expect(clusters.bridge.status().rules).toContainEqual({
      rule: "policy[1]",
      allowed: notes,
      refused: sent - notes,
    });
  });

  it("is tried without effect in the mode log", async () => {
    clusters = await start({
      policyMode: "log",
      policy: [{ id: "trial", action: "deny", from: ["a"], names: ["orders"], operations: ["call"] }],
    });
    expect(await near(`gen_server:call(${ORDERS}, {add, 1, 2})`)).toBe("3");
    expect(await near(`{sys:suspend(${ORDERS}), sys:resume(${ORDERS})}`)).toBe("{ok,ok}");
    expect(clusters.lines).toContainEqual(
      expect.objectContaining({
        message: "would be refused by the policy",
        rule: "trial",
        operation: "call",
      }),
    );
    expect(clusters.bridge.status()).toMatchObject({ refused: 0, wouldBeRefused: 3, policyMode: "log" });
    // what no bridge carries is not carried now
    expect(await near(`rpc:call(${BRIDGE}, os, cmd, ["id"])`)).toMatch(/^\{badrpc,\{'EXIT',\{undef,/);
    await near(`group_leader(self(), ${pidOf("orders")})`);
    await until(() => refused() === 2, "the refusals are counted");
  });

  it("tells of what a rule with audit allows", async () => {
    clusters = await start({
      policy: [{ id: "watched", action: "allow", from: ["a"], names: ["orders"], audit: true }],
    });
    await near(`gen_server:call(${ORDERS}, {echo, owned})`);
    expect(clusters.lines).toContainEqual(
      expect.objectContaining({
        message: "allowed by the policy",
        rule: "watched",
        operation: "call",
        target: "orders",
      }),
    );
    expect(JSON.stringify(clusters.lines)).not.toContain("owned");
  });

  it("takes code out of reasons", async () => {
    clusters = await start();
    expect(
      await near(`W = gen_server:call(${ORDERS}, {spawn_worker}), R = erlang:monitor(process, W), ok`),
    ).toBe("ok");
    // the worker is told from its own side to end with a fun
    await clusters.b.eval(
      "[P ! {stop, {bad, fun() -> ok end}} || P <- processes(), {current_function, {isthmus_orders, worker, 0}} <- [process_info(P, current_function)]], ok",
    );
    expect(await near("receive {'DOWN', R, process, W, Why} -> Why after 5000 -> nothing end")).toBe(
      "refused",
    );
  });

  it("changes while the bridge runs, and nobody loses a connection, a link or a monitor", async () => {
    clusters = await start();
    await near(`process_flag(trap_exit, true), W = gen_server:call(${ORDERS}, {spawn_worker}), link(W),
      M = erlang:monitor(process, W), N = erlang:monitor(process, ${ORDERS})`);
    await clusters.bridge.reload({
      routes: [{ from: "a", to: "b", name: "orders", as: "new_orders", nodes: ["b1@127.0.0.1"] }],
      policy: [{ action: "deny", from: ["a"], pid: true, operations: ["call"] }],
    });
    expect(await near(`gen_server:call({new_orders, ${BRIDGE}}, {add, 1, 2})`)).toBe("3");
    expect(await near(`catch gen_server:call(${ORDERS}, {add, 1, 2})`)).toMatch(/^\{'EXIT',\{noproc,/);
    expect(await near("catch gen_server:call(W, x, 60000)")).toMatch(/^\{'EXIT',\{noproc,/);
    const relations = clusters.bridge.status().relations;
    // a monitor of a name that is no longer exported can be taken back
    expect(await near("erlang:demonitor(N)")).toBe("true");
    await until(() => clusters.bridge.status().relations === relations - 1, "the monitor has ended");
    expect(
      await near(`W ! {stop, done}, [receive {'EXIT', W, L} -> L after 5000 -> nothing end,
        receive {'DOWN', M, process, W, D} -> D after 5000 -> nothing end]`),
    ).toBe("[done,done]");
    expect(clusters.lines.filter(({ message }) => message === "node disconnected")).toEqual([]);
    expect(clusters.lines.filter(({ message }) => message === "node connected").length).toBe(2);
    // nothing joins the clusters any more
    await near(`W2 = gen_server:call({new_orders, ${BRIDGE}}, {spawn_worker})`);
    await clusters.bridge.reload({ routes: [] });
    expect(await near("catch gen_server:call(W2, x, 60000)")).toMatch(/^\{'EXIT',\{noproc,/);
    await expect(
      clusters.bridge.reload({ routes: [], policy: [{ action: "deny", from: ["nobody"] }] }),
    ).rejects.toMatchObject({ code: "BRIDGE_OPTIONS_INVALID" });
  });
});
