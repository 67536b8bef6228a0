%% Distinct process identifiers across a bridge; see pids.mjs, which talks to it by lines on standard input and output.
-module(isthmus_pids).

-export([sink/0, source/0]).

-define(BATCH, 1000).

%% Remembers every pid that it is told of or that sends to it, and sends lists of pids back.
sink() ->
    spawn(fun() ->
        true = register(sink, self()),
        Seen = ets:new(seen, [set]),
        io:format("ready~n"),
        sink(Seen)
    end).

sink(Seen) ->
    receive
        {pids, From, Ref, Pids} ->
            ets:insert(Seen, [{Pid} || Pid <- Pids]),
            From ! {Ref, Pids};
        {from, Pid} ->
            ets:insert(Seen, {Pid});
        {take, From, Ref} ->
            From ! {Ref, ets:info(Seen, size)},
            ets:delete_all_objects(Seen)
    end,
    sink(Seen).

%% Lines: "lists COUNT BRIDGE", "senders COUNT BRIDGE". Answers with how many distinct ones the other side has seen.
source() ->
    spawn(fun() -> io:format("ready~n"), source(io:get_line("")) end).

source(Line) ->
    [Kind, Count, Bridge] = string:lexemes(Line, " \n"),
    Sink = {sink, list_to_atom(Bridge)},
    ok = batches(list_to_atom(Kind), list_to_integer(Count), Sink),
    io:format("~b~n", [asked({take, self(), make_ref()}, Sink)]),
    source(io:get_line("")).

batches(_, 0, _) ->
    ok;
%% what comes back must be what was sent
batches(lists, Left, Sink) ->
    Pids = [spawn(fun() -> ok end) || _ <- lists:seq(1, ?BATCH)],
    Pids = asked({pids, self(), make_ref(), Pids}, Sink),
    batches(lists, Left - ?BATCH, Sink);
batches(senders, Left, Sink) ->
    Monitors = [element(2, spawn_monitor(fun() -> Sink ! {from, self()} end)) || _ <- lists:seq(1, ?BATCH)],
    [receive {'DOWN', Monitor, process, _, normal} -> ok end || Monitor <- Monitors],
    batches(senders, Left - ?BATCH, Sink).

asked(Request, Sink) ->
    Ref = element(3, Request),
    Sink ! Request,
    receive {Ref, Answer} -> Answer end.
