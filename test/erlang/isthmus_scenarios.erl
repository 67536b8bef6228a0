%% The BEAM's half of the interop scenarios (test/interop/scenarios.ts): what a process of a BEAM does to processes of
%% another node, one function for each thing that a test wants done, and what it saw as the result.
-module(isthmus_scenarios).
-behaviour(gen_statem).

-export([sink/1, worker/0, trapping/0, send_all/4, big_to/4]).
-export([link_and_wait/1, end_linked/2, toggle/2, cross_unlink/1, down_of/1, exits/3]).
-export([spawns/1, late_spawn/1, calls/1, old_calls/1, rpcs/1, printed/0]).
-export([traced/4, traced_exits/1, traced_spawn/1, trace_through/1, priority/1]).
-export([watching/1, on_use/4]).
-export([caller/1, called/1, callback_mode/0, init/1, handle_event/4, statem/1, event/1, handle_event/2, handle_call/2]).

-define(WAIT, 5000).

%% A collector under Name, and an alias of it; its pid where there are no aliases (OTP 23).
sink(Name) ->
    Pid = isthmus_collector:start(Name),
    {Pid, isthmus_collector:run(Pid, fun() -> alias_of_self() end)}.

alias_of_self() ->
    case erlang:function_exported(erlang, alias, 0) of
        true -> apply(erlang, alias, []);
        false -> self()
    end.

%% A process that keeps nothing, prints {print, Text} to its group leader, and ends with Reason at {stop, Reason}.
worker() ->
    spawn(fun work/0).

work() ->
    receive
        {stop, Reason} -> exit(Reason);
        {print, Text} -> io:put_chars(Text), work();
        {leader_to, Pid} -> Pid ! {leader, group_leader()}, work();
        _ -> work()
    end.

%% A process that traps exits, and ends with {trapped, From, Reason} of the first one.
trapping() ->
    Self = self(),
    Pid = spawn(fun() ->
        process_flag(trap_exit, true),
        Self ! {self(), trapping},
        receive {'EXIT', From, Reason} -> exit({trapped, From, Reason}) end
    end),
    receive {Pid, trapping} -> Pid end.

%% One process sends 1 to Count, by turns to a pid, a name and an alias.
send_all(Pid, Name, Alias, Count) ->
    [element(1 + N rem 3, {Pid, Name, Alias}) ! N || N <- lists:seq(1, Count)],
    ok.

%% Big terms in everything that has a payload: messages, exit signals, exits of links, reasons of monitors.
big_to(Pid, Name, Alias, Bytes) ->
    [To ! {big, Bytes} || To <- [Pid, Name, Alias]],
    exit(Pid, {exit2, Bytes}),
    Linked = spawn(fun() -> link(Pid), receive go -> exit({linked, Bytes}) end end),
    Watched = spawn(fun() -> receive go -> exit({watched, Bytes}) end end),
    {Linked, Watched}.

%% Links to Pid, tells it so, and gives the reason with which it ends.
link_and_wait(Pid) ->
    in_process(fun() ->
        process_flag(trap_exit, true),
        link(Pid),
        Pid ! {linked, self()},
        receive {'EXIT', Pid, Reason} -> Reason after ?WAIT -> nothing end
    end).

%% A process links to Pid and ends with Reason.
end_linked(Pid, Reason) ->
    spawn(fun() -> link(Pid), exit(Reason) end).

%% Links and unlinks Count times; what comes of it when Pid has ended, which a monitor tells.
toggle(Pid, Count) ->
    in_process(fun() ->
        process_flag(trap_exit, true),
        [begin link(Pid), unlink(Pid) end || _ <- lists:seq(1, Count)],
        Ref = erlang:monitor(process, Pid),
        Pid ! {stop, toggled},
        receive {'DOWN', Ref, process, Pid, Reason} -> {Reason, nothing_else(100)} after ?WAIT -> nothing end
    end).

%% A trapping process that links to Pid at once, and unlinks when it is told {unlink, From}.
cross_unlink(Pid) ->
    spawn(fun() ->
        process_flag(trap_exit, true),
        link(Pid),
        Pid ! {linked, self()},
        receive unlink -> unlink(Pid) end,
        Pid ! unlinked,
        receive {'EXIT', Pid, Reason} -> exit({unexpected, Reason}); {stop, Reason} -> exit(Reason) end
    end).

%% Monitors Target, tells it so, and gives {what the DOWN message names, Reason}.
down_of(Target) ->
    in_process(fun() ->
        Ref = erlang:monitor(process, Target),
        Target ! {monitored, self()},
        receive {'DOWN', Ref, process, Object, Reason} -> {Object, Reason} after ?WAIT -> nothing end
    end).

%% exit/2 with each of Reasons; then a message, which shows that the signals have arrived.
exits(Pid, Reasons, Probe) ->
    [exit(Pid, Reason) || Reason <- Reasons],
    Probe ! exits_sent,
    ok.

%% The forms in which a BEAM spawns on another node. isthmus:finish/1 there exits with its argument.
spawns(Node) ->
    in_process(fun() ->
        process_flag(trap_exit, true),
        {_, M1} = spawn_opt(Node, isthmus, finish, [one], [monitor]),
        One = receive {'DOWN', M1, process, _, R1} -> R1 after ?WAIT -> nothing end,
        P2 = spawn_link(Node, isthmus, finish, [two]),
        Two = receive {'EXIT', P2, R2} -> R2 after ?WAIT -> nothing end,
        Q3 = spawn_request(Node, isthmus, finish, [three], [{reply_tag, tag}, link, monitor, {priority, high}]),
        Three = receive
            {tag, Q3, ok, P3} ->
                X3 = receive {'EXIT', P3, R3} -> R3 after ?WAIT -> nothing end,
                D3 = receive {'DOWN', Q3, process, P3, R4} -> R4 after ?WAIT -> nothing end,
                {node(P3) =:= Node, X3, D3}
        after ?WAIT -> nothing
        end,
        Q4 = spawn_request(Node, isthmus, finish, [four], [no_such_option]),
        Four = receive {spawn_reply, Q4, error, R5} -> R5 after ?WAIT -> nothing end,
        {_, M5} = spawn_opt(Node, no_such, function, [], [monitor]),
        Five = receive {'DOWN', M5, process, _, {R6, _}} -> R6 after ?WAIT -> nothing end,
        Q6 = spawn_request(Node, isthmus, finish, [six], [monitor, {reply, error_only}]),
        Six = receive {'DOWN', Q6, process, _, R7} -> R7 after ?WAIT -> nothing end,
        _ = spawn(Node, isthmus, finish, [seven]),
        {One, Two, Three, Four, Five, Six, nothing_else(50)}
    end).

%% Asks for a process and gives up at once; what is there afterwards.
late_spawn(Node) ->
    in_process(fun() ->
        process_flag(trap_exit, true),
        Request = spawn_request(Node, isthmus, wait, [], [link, monitor]),
        Abandoned = spawn_request_abandon(Request),
        pong = net_adm:ping(Node),
        {Abandoned, nothing_else(50)}
    end).

%% Every kind of call and cast to the server `echo` of Node, which answers with the request.
calls(Node) ->
    Echo = {echo, Node},
    1 = gen_server:call(Echo, 1),
    2 = gen_server:call(Echo, 2, infinity),
    {reply, 3} = gen_server:wait_response(gen_server:send_request(Echo, 3), ?WAIT),
    {[{Node, 4}], []} = gen_server:multi_call([Node], echo, 4),
    5 = gen_statem:call(Echo, 5),
    6 = gen_statem:call(Echo, 6, {clean_timeout, ?WAIT}),
    ok = gen_server:cast(Echo, {cast, 7}),
    abcast = gen_server:abcast([Node], echo, {cast, 8}),
    ok = gen_statem:cast(Echo, {cast, 9}),
    Echo ! {plain, 10},
    ok = erlang:send(Echo, {plain, 11}, [noconnect]),
    ok.

%% gen_event, which has its own forms, to the process `events` of Node.
old_calls(Node) ->
    Events = {events, Node},
    ok = gen_event:notify(Events, noted),
    ok = gen_event:sync_notify(Events, sync_noted),
    Answer = gen_event:call(Events, handler, question),
    {rpc:server_call(Node, served, answer, question), Answer}.

%% The ways to call functions of another node: math:add/2 there adds, math:fail/2 raises, math:wait/0 never answers.
rpcs(Node) ->
    3 = erpc:call(Node, math, add, [1, 2]),
    3 = rpc:call(Node, math, add, [1, 2]),
    3 = rpc:call(Node, math, add, [1, 2], ?WAIT),
    3 = rpc:block_call(Node, math, add, [1, 2]),
    3 = rpc:yield(rpc:async_call(Node, math, add, [1, 2])),
    {[3, 3], []} = rpc:multicall([Node, Node], math, add, [1, 2]),
    [{ok, 3}, {error, {erpc, noconnection}}] = erpc:multicall([Node, 'nowhere@127.0.0.1'], math, add, [1, 2]),
    {response, 3} = erpc:wait_response(erpc:send_request(Node, math, add, [1, 2]), ?WAIT),
    [3, 7] = [rpc:call(Node, math, add, [A, B]) || {A, B} <- [{1, 2}, {3, 4}]],
    ok = erpc:cast(Node, math, seen, [erpc_cast]),
    true = rpc:cast(Node, math, seen, [rpc_cast]),
    abcast = rpc:abcast([Node], inbox, by_abcast),
    {[Node], []} = rpc:sbcast([Node], inbox, by_sbcast),
    {[], [Node]} = rpc:sbcast([Node], nobody, by_sbcast),
    ok = erpc:multicast([Node], math, seen, [erpc_multicast]),
    {badrpc, {'EXIT', {undef, _}}} = rpc:call(Node, os, cmd, ["id"]),
    {badrpc, {'EXIT', left}} = rpc:call(Node, math, fail, [exit, left]),
    thrown = rpc:call(Node, math, fail, [throw, thrown]),
    {badrpc, timeout} = rpc:call(Node, math, wait, [], 50),
    [{throw, x}, {exit, x}, {error, x}, {error, {erpc, timeout}}] = [
        raised(fun() -> erpc:call(Node, math, fail, [Class, x]) end) || Class <- [throw, exit, error]
    ] ++ [raised(fun() -> erpc:call(Node, math, wait, [], 50) end)],
    ok.

raised(Fun) ->
    try Fun() catch
        exit:{exception, Reason} -> {exit, Reason};
        error:{exception, Reason, _} -> {error, Reason};
        Class:Reason -> {Class, Reason}
    end.

%% Prints in every way to the group leader, which is on the caller's node.
printed() ->
    io:format("~s ~p ~w~n", ["text", {a, "b"}, [1, 2]]),
    io:format("plain~n"),
    io:put_chars("chars"),
    io:put_chars(<<" binary ">>),
    io:format("~ts~n", [[228, 8364]]),
    io:nl(),
    io:write({written, 1}),
    io:fwrite("~5w|~-5w|~B~n", [1, 2, 3]),
    {io:getopts() =/= [], io:get_line("> "), node(group_leader()) =/= node()}.

%% Messages with a seq_trace token: to a pid, a name and an alias.
traced(Pid, Name, Alias, Label) ->
    in_process(fun() ->
        token(Label),
        [To ! {traced, Label} || To <- [Pid, Name, Alias]],
        ok
    end).

%% An exit signal, and the exit of a link, with a token.
traced_exits(Pid) ->
    spawn(fun() -> link(Pid), token(17), exit(Pid, traced), exit(traced) end).

%% A process is spawned with a token; isthmus:finish/1 there exits with its argument.
traced_spawn(Node) ->
    in_process(fun() ->
        token(18),
        {_, Ref} = spawn_opt(Node, isthmus, finish, [traced], [monitor]),
        receive {'DOWN', Ref, process, _, Reason} -> Reason after ?WAIT -> nothing end
    end).

%% A trace begins here, goes through Pid, and comes back by pid, name, alias, exit/2 and the end of a link: what came,
%% the trace's label and the process that it came from, each time.
trace_through(Pid) ->
    in_process(fun() ->
        process_flag(trap_exit, true),
        true = register(isthmus_traced, self()),
        Alias = alias_of_self(),
        token(19),
        Pid ! {trace, self(), {isthmus_traced, node()}, Alias},
        seq_trace:set_token([]),
        [receive What -> {What, label_and_sender()} after ?WAIT -> nothing end || _ <- lists:seq(1, 5)]
    end).

label_and_sender() ->
    case seq_trace:get_token() of
        [] -> none;
        Token -> {element(2, Token), element(4, Token)}
    end.

token(Label) ->
    seq_trace:set_token(label, Label),
    seq_trace:set_token(send, true).

%% OTP 28 and later: a message and an exit signal that overtake others, both to an alias.
priority(Alias) ->
    in_process(fun() ->
        apply(erlang, send, [Alias, urgent, [priority]]),
        apply(erlang, exit, [Alias, urgent_exit, [priority]]),
        ok
    end).

%% A process that is linked to Pid, monitors it and its node, and calls {slow, Node}; it tells what the loss of the
%% node meant to it: give it {tell, To}.
watching(Pid) ->
    spawn(fun() ->
        process_flag(trap_exit, true),
        Node = node(Pid),
        link(Pid),
        true = erlang:monitor_node(Node, true),
        Down = erlang:monitor(process, Pid),
        Call = erlang:monitor(process, {slow, Node}),
        {slow, Node} ! {from, self()},
        receive watching -> ok end,
        Seen = gather(4, Pid, Node, Down, Call),
        receive {tell, To} -> To ! Seen end
    end).

gather(0, _, _, _, _) -> [];
gather(Left, Pid, Node, Down, Call) ->
    receive
        {'EXIT', Pid, Reason} -> [{'EXIT', Reason} | gather(Left - 1, Pid, Node, Down, Call)];
        {'DOWN', Down, process, Pid, Reason} -> [{pid, Reason} | gather(Left - 1, Pid, Node, Down, Call)];
        {'DOWN', Call, process, {slow, Node}, Reason} -> [{name, Reason} | gather(Left - 1, Pid, Node, Down, Call)];
        {nodedown, Node} -> [nodedown | gather(Left - 1, Pid, Node, Down, Call)]
    after ?WAIT -> [{missing, Left}]
    end.

%% The first signals to a node make the connection, and go out in the forms of before it was made: a message to a pid,
%% an exit signal, a link whose process ends at once.
on_use(Pid, Doomed, Trapping, Alias) ->
    Node = node(Pid),
    false = lists:member(Node, nodes(connected)),
    in_process(fun() ->
        [Pid ! {first, N} || N <- lists:seq(1, 10)],
        Alias ! by_alias,
        exit(Doomed, early),
        spawn(fun() -> link(Trapping), exit(short_lived) end),
        ok
    end),
    ok.

%% Calls {echo, Node} without end, one call after another; called/1 tells how many were answered, and what else
%% happened since the last time.
caller(Node) ->
    spawn(fun() -> calling(Node, 0, []) end).

calling(Node, Answered, Failures) ->
    receive
        {how, From} ->
            From ! {self(), Answered, lists:sublist(Failures, 10)},
            calling(Node, Answered, []);
        stop ->
            ok
    after 2 ->
        try gen_server:call({echo, Node}, Answered, 3 * ?WAIT) of
            Answered -> calling(Node, Answered + 1, Failures);
            Other -> calling(Node, Answered, [Other | Failures])
        catch
            Class:Reason -> calling(Node, Answered, [{Class, Reason} | Failures])
        end
    end.

called(Caller) ->
    Caller ! {how, self()},
    receive {Caller, Answered, Failures} -> {Answered, Failures} after 4 * ?WAIT -> nothing end.

%% A gen_statem and a gen_event handler that answer with what they are asked.
statem(Name) ->
    {ok, Pid} = gen_statem:start({local, Name}, ?MODULE, statem, []),
    Pid.

event(Name) ->
    {ok, Pid} = gen_event:start({local, Name}),
    ok = gen_event:add_handler(Pid, ?MODULE, handler),
    Pid.

callback_mode() -> handle_event_function.

init(statem) -> {ok, ready, []};
init(handler) -> {ok, []}.

handle_event({call, From}, Request, _State, Seen) ->
    {keep_state, Seen, [{reply, From, {Request, lists:reverse(Seen)}}]};
handle_event(_Kind, Content, _State, Seen) ->
    {keep_state, [Content | Seen]}.

handle_event(Event, Seen) -> {ok, [Event | Seen]}.

handle_call(Request, Seen) -> {ok, {Request, lists:reverse(Seen)}, Seen}.

%% Runs Fun in a process of its own, so that what it leaves in its mailbox hurts nobody.
in_process(Fun) ->
    {Pid, Ref} = spawn_monitor(fun() -> exit({result, Fun()}) end),
    receive
        {'DOWN', Ref, process, Pid, {result, Result}} -> Result;
        {'DOWN', Ref, process, Pid, Reason} -> exit(Reason)
    end.

nothing_else(Milliseconds) ->
    receive Other -> {unexpected, Other} after Milliseconds -> nothing_else end.
