import { expect } from "vitest";

/** Says of what it is sent what can be compared across clusters, keeps numbers in order, and makes long answers. */
export const ORDERS_PROCESS = `register(orders, spawn(fun() -> (fun Loop(Seen) -> receive
  {'$gen_call', From, {look, Term}} -> gen_server:reply(From, erlang:phash2(Term, 1 bsl 32)), Loop(Seen);
  {'$gen_call', From, {answer_through, Bin, Pids, Tail}} ->
    [Pid ! {through, byte_size(Bin), Tail} || Pid <- Pids], gen_server:reply(From, lists:usort([node(P) || P <- Pids])), Loop(Seen);
  {'$gen_call', From, {make, Size}} -> gen_server:reply(From, {self(), binary:copy(<<1>>, Size)}), Loop(Seen);
  {'$gen_call', From, seen} -> gen_server:reply(From, lists:reverse(Seen)), Loop(Seen);
  {'$gen_call', From, size} -> gen_server:reply(From, length(Seen)), Loop(Seen);
  {N, Bin} when is_binary(Bin) -> Loop([{N, byte_size(Bin)} | Seen]);
  N -> Loop([N | Seen]) end end)([]) end)), ok`;

const MIB = 1024 * 1024;

/** Terms of all kinds that are longer than 256 KiB, in Erlang. */
export const LONG_TERMS: readonly string[] = [
  `binary:copy(<<7>>, ${20 * MIB})`,
  "lists:seq(1, 1000000)",
  "[{N, integer_to_list(N), <<N:64>>, N / 3} || N <- lists:seq(1, 30000)]",
  `#{text => lists:duplicate(${MIB}, $x), {a, key} => maps:from_list([{N, binary:copy(<<N>>, 100)} || N <- lists:seq(1, 10000)]), last => ok}`,
  `{binary:copy(<<1>>, ${MIB}), [binary:copy(<<2>>, 70000) || _ <- lists:seq(1, 50)] ++ improper, <<5:3>>, 1 bsl 400000}`,
  // nothing of a key can go on before all of it is there
  `#{binary:copy(<<4>>, ${MIB}) => a, {b, binary:copy(<<5>>, ${MIB})} => [c, #{binary:copy(<<6>>, ${MIB}) => d}]}`,
];

/** Sends {@link LONG_TERMS}, many pids and a call with a long answer from where `near` runs: all arrive as they were sent. */
export async function arriveAsSent(
  near: (code: string) => Promise<string>,
  orders: string,
  counted: () => void,
): Promise<void> {
  for (const term of LONG_TERMS) expect(await near(same(orders, term))).toBe("true");
  counted();
  // processes in them are who they were, wherever they stand
  expect(await near(through(orders))).toBe("[ok,ok,ok]");
  // answers are as long
  expect(
    await near(
      `{Pid, Made} = gen_server:call(${orders}, {make, ${9 * MIB}}, infinity), {is_pid(Pid), byte_size(Made)}`,
    ),
  ).toBe(`{true,${9 * MIB}}`);
}

/** Whether a term arrives at `orders` as it is here. */
export const same = (orders: string, term: string): string =>
  `(fun(T) -> gen_server:call(${orders}, {look, T}, infinity) =:= erlang:phash2(T, 1 bsl 32) end)(${term})`;

/** Sends a long message with many pids: what comes back through each of three of them, which are those of the caller. */
const through = (
  orders: string,
): string => `Many = lists:duplicate(20000, self()), [_] = gen_server:call(${orders},
    {answer_through, binary:copy(<<3>>, ${2 * MIB}), lists:sublist(Many, 3), [Many, make_ref() | Many]}, infinity),
  [receive {through, ${2 * MIB}, [[Me | _], R | _]} when Me =:= self(), node(R) =:= node() -> ok after 20000 -> nothing end || _ <- [1, 2, 3]]`;
