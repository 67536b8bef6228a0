import { atom, equals, inspectTerm, type Term, tuple } from "@isthmus/etf";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { eachOtp } from "../../../../test/support/peers.ts";
import { EventManagers } from "../../src/calls/gen-event.ts";
import { BEAM, type BeamPair, JS, startBeamPair } from "./beam-pair.ts";

/** A door that opens with a code, and answers some calls late; stdlib has no gen_statem that answers calls. */
const DOOR = `
  -module(door).
  -export([init/1, callback_mode/0, handle_event/4]).
  callback_mode() -> handle_event_function.
  init(Code) -> {ok, locked, Code}.
  handle_event({call, From}, {unlock, Code}, locked, Code) -> {next_state, open, Code, [{reply, From, ok}]};
  handle_event({call, From}, {unlock, _}, _, _) -> {keep_state_and_data, [{reply, From, {error, wrong}}]};
  handle_event({call, _}, walk_in, locked, _) -> {keep_state_and_data, [postpone]};
  handle_event({call, From}, walk_in, open, Code) -> {next_state, locked, Code, [{reply, From, inside}]};
  handle_event({call, From}, who, State, Code) -> {keep_state_and_data, [{{timeout, From}, 10, {State, Code}}]};
  handle_event({timeout, From}, What, _, _) -> {keep_state_and_data, [{reply, From, What}]};
  handle_event({call, From}, {stop, Why}, _, _) -> {stop_and_reply, Why, [{reply, From, stopped}]};
  handle_event({call, _}, break, _, _) -> {stop, broken};
  handle_event(cast, {code, Code}, _, _) -> {keep_state, Code};
  handle_event(info, lock, _, Code) -> {next_state, locked, Code}.
`;

eachOtp("a BEAM and we", ({ otp }) => {
  let pair: BeamPair;
  let events: EventManagers;
  const erl = (code: string): Promise<string> => pair.beam.eval(code);
  const shown = (term: Term): string => inspectTerm(term, { compact: true });

  beforeAll(async () => {
    pair = await startBeamPair(otp);
    events = new EventManagers(JS, pair.node);
  });
  afterAll(() => pair?.stop());

  describe("an event manager of theirs", () => {
    const alarms = { name: "alarm_handler", node: BEAM };
    const alarm = (id: string): Term => tuple(atom("set_alarm"), tuple(atom(id), [1]));

    beforeAll(async () => {
      // reports of alarms are not what is tested
      await erl(
        "logger:set_primary_config(level, none), alarm_handler:start_link(), unlink(whereis(alarm_handler))",
      );
    });

    it("gets events, and answers when they have been handled", async () => {
      events.notify(alarms, alarm("first"));
      await events.syncNotify(alarms, alarm("second"));
      expect(await erl("alarm_handler:get_alarms()")).toBe("[{second,[1]},{first,[1]}]");
      for (let i = 0; i < 200; i++) events.notify(alarms, tuple(atom("set_alarm"), i));
      const all = (await events.call(alarms, "alarm_handler", atom("get_alarms"))) as Term[];
      expect(all.slice(0, 200).reverse()).toEqual(Array.from({ length: 200 }, (_, i) => i));
    });

    it("answers what a handler is asked, and who the handlers are", async () => {
      expect(shown(await events.whichHandlers(alarms))).toBe("[alarm_handler]");
      expect(shown(await events.call(alarms, atom("alarm_handler"), atom("what")))).toBe("{error,bad_query}");
      expect(shown(await events.call(alarms, "nobody", 1))).toBe("{error,bad_module}");
      expect(shown(await events.call(alarms, tuple(atom("nobody"), 7), 1))).toBe("{error,bad_module}");
    });

    it("says what is wrong when it does not answer", async () => {
      await expect(events.whichHandlers({ name: "nobody", node: BEAM })).rejects.toMatchObject({
        code: "NO_PROCESS",
      });
      await expect(events.whichHandlers({ name: "x", node: "absent@127.0.0.1" })).rejects.toMatchObject({
        code: "NO_CONNECTION",
      });
      await erl("sys:suspend(alarm_handler)");
      const before = pair.node.processes.size;
      await expect(events.whichHandlers(alarms, { timeoutMs: 30 })).rejects.toMatchObject({
        code: "CALL_TIMEOUT",
      });
      const abort = new AbortController();
      const aborted = events.whichHandlers(alarms, { signal: abort.signal });
      abort.abort(new Error("enough"));
      await expect(aborted).rejects.toThrow("enough");
      await expect(events.whichHandlers(alarms, { signal: abort.signal })).rejects.toThrow("enough");
      expect(pair.node.processes.size).toBe(before);
      // the answers to both come now, and nobody is there to be confused
      await erl("sys:resume(alarm_handler)");
      expect(shown(await events.whichHandlers(alarms))).toBe("[alarm_handler]");
      await erl("sys:suspend(alarm_handler)");
      const ended = expect(events.syncNotify(alarms, 1)).rejects.toMatchObject({
        code: "CALL_EXIT",
        context: { reason: atom("killed") },
      });
      await pair.node.call({ name: "net_kernel", node: BEAM }, tuple(atom("is_auth"), atom(JS)));
      await erl("exit(whereis(alarm_handler), kill)");
      await ended;
    });

    it("a request that outlives the node is told so", async () => {
      const node = await pair.another("short@127.0.0.1");
      await erl("gen_event:start({local, held}), sys:suspend(held)");
      const request = new EventManagers(node.name, node).whichHandlers({ name: "held", node: BEAM });
      await node.connect(BEAM);
      await Promise.all([expect(request).rejects.toMatchObject({ code: "NODE_CLOSED" }), node.close()]);
      await erl("exit(whereis(held), kill)");
    });
  });

  describe("a gen_statem of theirs", () => {
    const door = { name: "door", node: BEAM };
    const unlock = (code: number): Term => tuple(atom("unlock"), code);

    beforeAll(async () => {
      await erl(`{ok, Tokens, _} = erl_scan:string(${JSON.stringify(DOOR)}),
        Split = fun Split([], []) -> []; Split([{dot, _} = D | T], F) -> [lists:reverse([D | F]) | Split(T, [])];
          Split([X | T], F) -> Split(T, [X | F]) end,
        {ok, door, Code} = compile:forms([element(2, erl_parse:parse_form(F)) || F <- Split(Tokens, [])]),
        code:load_binary(door, "door", Code)`);
    });
    beforeEach(async () => {
      await erl("catch gen_statem:stop(door), gen_statem:start({local, door}, door, 7, []), ok");
    });

    it("is called and cast to as a gen_server", async () => {
      const { node } = pair;
      expect(shown(await node.call(door, unlock(1)))).toBe("{error,wrong}");
      expect(await node.call(door, unlock(7))).toBe(atom("ok"));
      node.send(door, atom("lock"));
      node.cast(door, tuple(atom("code"), 8));
      expect(shown(await node.call(door, unlock(7)))).toBe("{error,wrong}");
      expect(await node.call(door, unlock(8))).toBe(atom("ok"));
    });

    it("may answer late: after a time, after a change of state, to several", async () => {
      const { node } = pair;
      expect(shown(await node.call(door, atom("who")))).toBe("{locked,7}");
      const waiting = Promise.all([node.call(door, atom("walk_in")), node.call(door, atom("walk_in"))]);
      expect(await node.call(door, unlock(7))).toBe(atom("ok"));
      // the first one locked the door again
      expect(await node.call(door, unlock(7))).toBe(atom("ok"));
      expect(await waiting).toEqual([atom("inside"), atom("inside")]);
    });

    it("that is too late is not heard: the answer goes to nobody", async () => {
      const caller = pair.node.spawn();
      const late = pair.node.call(door, atom("walk_in"), { timeoutMs: 30, as: caller });
      await expect(late).rejects.toMatchObject({ code: "CALL_TIMEOUT" });
      expect(await pair.node.call(door, unlock(7), { as: caller })).toBe(atom("ok"));
      expect(shown(await pair.node.call(door, atom("who"), { as: caller }))).toBe("{locked,7}");
      // OTP 23 knows no aliases: there the late answer comes to the process, as it does on a BEAM of that release
      expect(caller.mailboxSize).toBe(otp === 23 ? 1 : 0);
      caller.exit();
    });

    it("that ends says why, and its answer before that counts", async () => {
      expect(await pair.node.call(door, tuple(atom("stop"), atom("normal")))).toBe(atom("stopped"));
      await expect(pair.node.call(door, 1)).rejects.toMatchObject({ code: "NO_PROCESS" });
      await erl("gen_statem:start({local, door}, door, 7, []), logger:set_primary_config(level, none)");
      const error = await pair.node.call(door, atom("break")).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "CALL_EXIT" });
      const { reason } = (error as { context: { reason: Term } }).context;
      expect(equals(reason, atom("broken"))).toBe(true);
    });
  });
});
