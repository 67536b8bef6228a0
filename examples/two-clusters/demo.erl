%% One node of the demo, plain Erlang: `orders` is an ordinary gen_server, and the shop calls it as it would call any
%% other. Commands come in on standard input, one a line; each answer goes out as `Command<TAB>Term`.
-module(demo).
-behaviour(gen_server).
-export([start/0, init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(BRIDGE, 'bridge@127.0.0.1').

start() ->
    case os:getenv("DEMO_ROLE") of
        "billing" -> {ok, _} = gen_server:start({local, orders}, ?MODULE, [], []),
                     true = register(secrets, spawn(fun() -> receive never -> ok end end));
        "shop" -> ok
    end,
    say(ready, node()),
    loop().

loop() ->
    case io:get_line("") of
        Line when is_list(Line) ->
            Command = list_to_atom(string:trim(Line)),
            say(Command, try answer(Command) catch Class:Reason -> {Class, Reason} end),
            loop();
        _ -> halt(0)
    end.

say(Command, Term) -> io:format("~s\t~0tp~n", [Command, Term]).

answer(nodes) -> {nodes(), nodes(hidden)};
answer(ping_direct) -> net_adm:ping('billing1@127.0.0.1');
answer(ping_bridge) -> net_adm:ping(?BRIDGE);
%% a call, answered on the other side
answer(call) -> gen_server:call({orders, ?BRIDGE}, {place, <<"book">>, 2});
%% our own pid inside a message: the other side sends to it
answer(message_to_pid) ->
    gen_server:cast({orders, ?BRIDGE}, {tell, self(), hello}),
    receive {told, What, Node} -> {What, Node} after 5000 -> nothing_came end;
%% their pid inside a reply: we monitor it, and it ends
answer(monitor) ->
    {worker, Worker} = gen_server:call({orders, ?BRIDGE}, hire),
    Ref = erlang:monitor(process, Worker),
    Worker ! {stop, out_of_paper},
    receive {'DOWN', Ref, process, Worker, Reason} -> {'DOWN', Reason} after 5000 -> nothing_came end;
%% the process exists over there, but no route names it
answer(refused_name) ->
    try gen_server:call({secrets, ?BRIDGE}, tell_me) catch exit:{Reason, _} -> {exit, Reason} end;
answer(refused_rpc) ->
    case rpc:call(?BRIDGE, os, cmd, ["id"]) of
        {badrpc, {'EXIT', {Reason, _}}} -> {badrpc, Reason};
        Other -> Other
    end.

init([]) -> {ok, 1}.

handle_call({place, Item, Count}, _From, N) -> {reply, {ok, N, Item, Count, node()}, N + 1};
handle_call(hire, _From, N) ->
    {reply, {worker, spawn(fun() -> receive {stop, Reason} -> exit(Reason) end end)}, N}.

handle_cast({tell, Pid, What}, N) -> Pid ! {told, What, node()}, {noreply, N}.

handle_info(_, N) -> {noreply, N}.
