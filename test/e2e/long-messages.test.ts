import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BRIDGE, startTwoClusters, type TwoClusters, until } from "./two-clusters.ts";

const MIB = 1024 * 1024;

describe("messages that are longer than the bridge takes", () => {
  let clusters: TwoClusters;
  const refusals: Record<string, unknown>[] = [];
  const note = (context: Record<string, unknown>): void => void refusals.push(context);

  beforeAll(async () => {
    const logger = { debug: note, info: note, warn: note, error: note };
    clusters = await startTwoClusters({
      otpA: 25,
      otpB: 27,
      bridge: { limits: { maxMessageBytes: 4 * MIB }, logger },
    });
    await clusters.b.eval(`register(orders, spawn(fun() -> (fun Loop(N) -> receive
      {'$gen_call', From, {size, Bin}} -> gen_server:reply(From, byte_size(Bin)), Loop(N + 1);
      {'$gen_call', From, {make, Size}} -> gen_server:reply(From, binary:copy(<<1>>, Size)), Loop(N + 1);
      {'$gen_call', From, seen} -> gen_server:reply(From, N), Loop(N);
      {'$gen_call', {Pid, _}, {die, Size}} -> exit(Pid, kill), exit(binary:copy(<<1>>, Size));
      stop -> exit(binary:copy(<<1>>, 5 * 1024 * 1024));
      _ -> Loop(N + 1) end end)(0) end)), ok`);
  });
  afterAll(() => clusters.stop());

  const connected = async (): Promise<string> => clusters.a.eval("nodes(hidden)");

  it("are refused: the caller is told at once, the connection stays, and what follows arrives", async () => {
    const before = await connected();
    const call = (size: number): Promise<string> =>
      clusters.a.eval(
        `(fun({'EXIT', {Why, _}}) -> Why; (Size) -> Size end)(catch gen_server:call({orders, ${BRIDGE}}, {size, binary:copy(<<7>>, ${size})}, infinity))`,
      );
    expect(await call(3 * MIB)).toBe(String(3 * MIB));
    expect(await call(5 * MIB)).toBe("system_limit");
    expect(await call(1000)).toBe("1000");
    expect(await connected()).toBe(before);
    expect(refusals).toContainEqual(
      expect.objectContaining({ rule: "limits:max_message_bytes", target: "orders" }),
    );
  });

  it("answers, too", async () => {
    const make = (size: number): Promise<string> =>
      clusters.a.eval(
        `(fun({'EXIT', {Why, _}}) -> Why; (Bin) -> byte_size(Bin) end)(catch gen_server:call({orders, ${BRIDGE}}, {make, ${size}}, infinity))`,
      );
    expect(await make(5 * MIB)).toBe("system_limit");
    expect(await make(2 * MIB)).toBe(String(2 * MIB));
  });

  it("without an answer are lost, and nothing else is", async () => {
    const seen = Number(await clusters.a.eval(`gen_server:call({orders, ${BRIDGE}}, seen)`));
    await clusters.a.eval(`{orders, ${BRIDGE}} ! {x, binary:copy(<<1>>, ${6 * MIB})}, ok`);
    await clusters.a.eval(`[{orders, ${BRIDGE}} ! {x, N} || N <- lists:seq(1, 10)], ok`);
    await until(
      async () => (await clusters.a.eval(`gen_server:call({orders, ${BRIDGE}}, seen)`)) === String(seen + 10),
      "the ten short ones are there",
    );
  });

  it("of an end come without their reason", async () => {
    const down = await clusters.a.eval(
      `M = monitor(process, {orders, ${BRIDGE}}), {orders, ${BRIDGE}} ! stop, receive {'DOWN', M, _, _, R} -> R after 20000 -> late end`,
    );
    expect(down).toBe("refused");
  });
});
