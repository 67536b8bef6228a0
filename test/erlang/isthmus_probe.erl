%% What a test can do inside a node. start/0 is the node's half of test/support/beam.ts: it connects to the TCP
%% port in the environment variable ISTHMUS_PROBE ("port:token") and evaluates the expressions that come from
%% there, all of them in one process, the evaluator. When that connection ends, so does the node, so that no
%% node outlives its test. The other functions start the small processes that tests talk to.
%%
%% Frames (each after its length in four bytes): <<Kind, Id:32, Text/binary>>
%%   from the test: $e evaluate Text, $c give up evaluation Id
%%   from the node: $h hello, Text is the token; $o the value printed; $x <<Reason, 0, Where>>
-module(isthmus_probe).

-export([start/0, traced/2]).
-export([orders/1]).
-export([collect/1, collect/0, collected/1, collected/3, forget/1, watch/1, linked/1, run/2]).

%% A gen_server registered as Name: see isthmus_orders.
orders(Name) ->
    {ok, Pid} = gen_server:start({local, Name}, isthmus_orders, [], []),
    Pid.

%% Processes that record what they receive: see isthmus_collector.
collect(Name) -> isthmus_collector:start(Name).
collect() -> isthmus_collector:start().
collected(Collector) -> isthmus_collector:messages(Collector).
collected(Collector, Count, Timeout) -> isthmus_collector:messages(Collector, Count, Timeout).
forget(Collector) -> isthmus_collector:forget(Collector).
run(Collector, Fun) -> isthmus_collector:run(Collector, Fun).

%% A collector that monitors Target, a pid or {Name, Node}. As always, another node may learn of it later than
%% this returns; net_adm:ping/1 to it takes the same way.
watch(Target) ->
    Pid = collect(),
    {Pid, run(Pid, fun() -> erlang:monitor(process, Target) end)}.

%% A collector that traps exits and is linked to Pid.
linked(Pid) ->
    Collector = collect(),
    true = run(Collector, fun() -> process_flag(trap_exit, true), link(Pid) end),
    Collector.

start() ->
    [Port, Token] = string:split(os:getenv("ISTHMUS_PROBE"), ":"),
    os:unsetenv("ISTHMUS_PROBE"),
    %% what tests print is read as UTF-8, and SIGTERM ends the node at once: init:stop() takes a second
    _ = io:setopts(user, [{encoding, unicode}]),
    ok = os:set_signal(sigterm, default),
    spawn(fun() ->
        Options = [binary, {packet, 4}, {active, true}, {nodelay, true}],
        {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, list_to_integer(Port), Options),
        answer(Socket, $h, 0, Token),
        idle(Socket, evaluator(erl_eval:new_bindings()), erl_eval:new_bindings(), none)
    end).

%% Died is why the last evaluator ended while nothing was evaluated; the next evaluation tells it.
idle(Socket, {Pid, Monitor} = Evaluator, Bindings, Died) ->
    receive
        {tcp, Socket, <<$e, Id:32, _/binary>>} when Died =/= none ->
            answer(Socket, $x, Id, format("evaluator_died_before:~0tp", [Died])),
            idle(Socket, Evaluator, Bindings, none);
        {tcp, Socket, <<$e, Id:32, Text/binary>>} ->
            Pid ! {Monitor, evaluate, self(), Text},
            busy(Socket, Evaluator, Bindings, Id);
        {tcp, Socket, <<$c, _/binary>>} ->
            idle(Socket, Evaluator, Bindings, Died);
        {'DOWN', Monitor, process, Pid, Reason} ->
            idle(Socket, evaluator(Bindings), Bindings, Reason);
        {tcp_closed, Socket} ->
            erlang:halt(0, [{flush, false}])
    end.

busy(Socket, {Pid, Monitor} = Evaluator, Bindings, Id) ->
    receive
        {Monitor, value, Text, NewBindings} ->
            answer(Socket, $o, Id, Text),
            idle(Socket, Evaluator, NewBindings, none);
        {Monitor, failed, Text} ->
            answer(Socket, $x, Id, Text),
            idle(Socket, Evaluator, Bindings, none);
        {tcp, Socket, <<$c, Id:32>>} ->
            exit(Pid, kill),
            receive {'DOWN', Monitor, process, Pid, _} -> ok end,
            idle(Socket, evaluator(Bindings), Bindings, none);
        {'DOWN', Monitor, process, Pid, Reason} ->
            answer(Socket, $x, Id, format("evaluator_died:~0tp", [Reason])),
            idle(Socket, evaluator(Bindings), Bindings, none);
        {tcp_closed, Socket} ->
            erlang:halt(0, [{flush, false}])
    end.

answer(Socket, Kind, Id, Text) ->
    case gen_tcp:send(Socket, [<<Kind, Id:32>>, Text]) of
        ok -> ok;
        {error, _} -> erlang:halt(0, [{flush, false}])
    end.

%% The evaluator knows its requests by the reference of its owner's monitor, and takes nothing else out of its
%% mailbox: all the rest is for the expressions.
evaluator(Bindings) ->
    Pid = spawn(fun() -> receive {owner, Monitor} -> evaluate(Monitor, Bindings) end end),
    Monitor = erlang:monitor(process, Pid),
    Pid ! {owner, Monitor},
    {Pid, Monitor}.

evaluate(Monitor, Bindings) ->
    receive
        {Monitor, evaluate, Owner, Text} ->
            case evaluated(Text, Bindings) of
                {value, Value, NewBindings} ->
                    Owner ! {Monitor, value, format("~0tp", [Value]), NewBindings},
                    evaluate(Monitor, NewBindings);
                {failed, Why} ->
                    Owner ! {Monitor, failed, Why},
                    evaluate(Monitor, Bindings)
            end
    end.

evaluated(Text, Bindings) ->
    case parsed(unicode:characters_to_list(Text)) of
        {ok, Expressions} ->
            try
                erl_eval:exprs(Expressions, Bindings)
            catch
                Class:Reason:Stack ->
                    {failed, [format("~s:~0tp", [Class, Reason]), 0, where(Stack)]}
            end;
        {error, Why} ->
            {failed, ["syntax:", Why]}
    end.

parsed(Text) ->
    case erl_scan:string(Text ++ "\n.") of
        {ok, Tokens, _} ->
            case erl_parse:parse_exprs(one_end(Tokens)) of
                {ok, Expressions} -> {ok, Expressions};
                {error, {_, Module, Why}} -> {error, format("~ts", [Module:format_error(Why)])}
            end;
        {error, {_, Module, Why}, _} ->
            {error, format("~ts", [Module:format_error(Why)])}
    end.

%% the text may or may not have its own final dot
one_end(Tokens) ->
    case lists:reverse(Tokens) of
        [{dot, _}, {dot, _} = Dot | Rest] -> lists:reverse([Dot | Rest]);
        _ -> Tokens
    end.

where([{Module, Function, Arguments, _} | Rest]) ->
    case Module of
        erl_eval -> where(Rest);
        ?MODULE -> "";
        _ when is_list(Arguments) -> format("~tw:~tw/~w", [Module, Function, length(Arguments)]);
        _ -> format("~tw:~tw/~w", [Module, Function, Arguments])
    end;
where([]) ->
    "".

format(Format, Arguments) ->
    unicode:characters_to_binary(io_lib:format(Format, Arguments)).

%% Sends hello with a seq_trace token to To, and gives the token that comes with the answer.
traced(Label, To) ->
    Me = self(),
    {Pid, Ref} = spawn_monitor(fun() ->
        seq_trace:set_token(label, Label),
        seq_trace:set_token(send, true),
        To ! {self(), hello},
        receive {answer, _} -> Me ! {token, self(), seq_trace:get_token()}
        after 5000 -> exit(no_answer)
        end
    end),
    receive
        {token, Pid, Token} -> demonitor(Ref, [flush]), seq_trace:set_token([]), Token;
        {'DOWN', Ref, process, Pid, Why} -> Why
    end.
