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
