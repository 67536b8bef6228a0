import { atom, type Tuple, tuple } from "@isthmus/etf";
import { afterAll, beforeAll, expect, it } from "vitest";
import { eachOtp } from "../../../../test/support/peers.ts";
import { BEAM, type BeamPair, JS, startBeamPair } from "../calls/beam-pair.ts";

eachOtp("seq_trace through us", ({ otp }) => {
  let pair: BeamPair;
  beforeAll(async () => {
    pair = await startBeamPair(otp);
    // a BEAM loses the token of a message for which it must connect first
    await pair.node.connect(BEAM);
  });
  afterAll(() => pair?.stop());

  /** A process there traces a message to `to`, and tells the token that it has after our answer. */
  const traced = (to: string) => `isthmus_probe:traced({order, 17}, ${to})`;

  it("a handler's answer carries the label on, with a higher serial", async () => {
    const process = pair.node.spawn({
      name: "traced",
      onMessage: (message, self) =>
        self.send((message as Tuple).elements[0] as never, tuple(atom("answer"), 1)),
    });
    const token = await pair.beam.eval(traced(`{traced, '${JS}'}`));
    // {Flags, Label, Serial, From, LastSerial}
    expect(token).toMatch(/^\{1,\{order,17\},2,<\d+\.\d+\.\d+>,1\}$/);
    expect(process.traceToken?.elements[1]).toEqual(tuple(atom("order"), 17));
    process.exit();
  });

  it("a mailbox gives the token of the message that was received, not of the last that came", async () => {
    const process = pair.node.spawn({ name: "slow" });
    const answered = pair.beam.eval(traced(`{slow, '${JS}'}`));
    await expect.poll(() => process.mailboxSize).toBe(1);
    pair.node.send("slow", atom("plain"));
    await expect.poll(() => process.mailboxSize).toBe(2);
    expect(process.traceToken).toBeUndefined();
    const message = (await process.receive()) as Tuple;
    process.send(message.elements[0] as never, tuple(atom("answer"), 1));
    expect(await answered).toMatch(/^\{1,\{order,17\},2,/);
    expect(await process.receive()).toBe(atom("plain"));
    expect(process.traceToken).toBeUndefined();
    process.exit();
  });

  it("a trace that we begin is seen there; exits carry it too", async () => {
    await pair.beam.eval(`spawn(fun() -> register(watcher, self()), process_flag(trap_exit, true),
      receive {From, link} -> link(From), From ! linked end,
      receive {'EXIT', _, bye} -> persistent_term:put(seen, seq_trace:get_token()) end end)`);
    const process = pair.node.spawn();
    process.send({ name: "watcher", node: BEAM }, tuple(process.pid, atom("link")));
    await process.receive({ timeoutMs: 5000 });
    process.traceToken = tuple(1, 99, 5, process.pid, 4);
    process.exit(atom("bye"));
    await expect
      .poll(() => pair.beam.eval("persistent_term:get(seen, none)"))
      .toMatch(/^\{1,99,6,<\d+\.\d+\.\d+>,5\}$/);
  });
});
