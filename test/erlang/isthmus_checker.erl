%% Load across a bridge, and the proof that nothing went wrong on the way. Every node of both clusters runs it: a
%% server, registered as `checker`, with a sink beside it, and for each of its peers, which are the servers of the other
%% cluster as the bridge shows them, a set of clients. Each client does one thing again and again, knows what may become
%% of it, and counts what may not:
%%
%%   lost        messages that did not arrive though the sender's monitor of the receiver said nothing
%%   duplicated  messages, replies, DOWNs and exit signals that came twice, or came though nobody waited for them any more
%%   reordered   messages that came after later ones of the same sender
%%   hung        waits for a reply, DOWN, nodedown, exit signal or acknowledgement that took longer than ?HUNG
%%   implausible reasons of DOWNs, exits and failed calls which a BEAM would not give
%%   corrupt     messages and replies that are not what was sent
%%   impostors   pids that have become another process
%%   crashed     clients that failed otherwise
%%
%% A gap is allowed where the sender is told: it numbers what it sends from 1 in epochs, and its monitor's DOWN begins
%% the next one. Counted for information: sent, calls, failed_calls, cut_short (steps that a DOWN or exit for another
%% reason ended), notices (DOWNs that senders were given), gaps (found by receivers), late (answers after a DOWN), floods.
%%
%% The test talks to it by a Unix socket, which is there whatever becomes of the network: see start/0.
-module(isthmus_checker).

-behaviour(gen_server).

-export([start/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(COUNTERS, isthmus_checker_counters).
-define(PROGRESS, isthmus_checker_progress).
-define(NOTES, isthmus_checker_notes).
-define(HUNG, 25000).
-define(BIG, 1048576).

%% ---- control

%% Listens at the path in the environment variable ISTHMUS_CHECKER. A request is an Erlang term in a line, with its dot;
%% the answer is a line of JSON.
start() ->
    Path = os:getenv("ISTHMUS_CHECKER"),
    ok = os:set_signal(sigterm, default),
    Self = self(),
    Pid = spawn(fun() ->
        [ets:new(Table, [named_table, public, set]) || Table <- [?COUNTERS, ?PROGRESS, ?NOTES]],
        ets:insert(?COUNTERS, {running, 1}),
        {ok, _} = gen_server:start({local, checker}, ?MODULE, [], []),
        _ = file:delete(Path),
        {ok, Listen} = gen_tcp:listen(0, [{ifaddr, {local, Path}}, binary, {packet, line}, {active, false},
            {recbuf, 65536}]),
        Self ! {self(), listening},
        accept(Listen, [])
    end),
    receive {Pid, listening} -> ok end.

accept(Listen, Kept) ->
    {ok, Socket} = gen_tcp:accept(Listen),
    accept(Listen, serve(Socket, Kept)).

serve(Socket, Kept) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, Line} ->
            {ok, Tokens, _} = erl_scan:string(binary_to_list(Line)),
            {ok, Request} = erl_parse:parse_term(Tokens),
            {Answer, NewKept} = request(Request, Kept),
            _ = gen_tcp:send(Socket, [json(Answer), $\n]),
            serve(Socket, NewKept);
        {error, _} ->
            gen_tcp:close(Socket),
            Kept
    end.

%% {start, [{Name, Bridge}], #{interval => Ms, burst => N, big_every => N}}: begins the load. With
%% groups => {Own, Near, Far} also by groups of pg: the sink is in {checker, Own} and in Near, the sinks of the peers are
%% in {checker, Name}, and Far is the group of all of them, as one process. With nodes => true the nodes of the peers,
%% which are mirrors then, are watched, too.
request({start, Peers, Options}, Kept) ->
    join(Options),
    Clients = [{Peer, Scenario} || Peer <- Peers, Scenario <- scenarios(Options)],
    ets:insert(?PROGRESS, [{{Peer, Scenario, Index}, 0} || {Peer, {Scenario, Index}} <- Clients]),
    [client(Peer, Scenario, Options) || {Peer, Scenario} <- Clients],
    {[], Kept};
%% Makes so many processes, that those made after them have larger numbers.
request({spawned, Count}, Kept) ->
    [begin {_, M} = spawn_monitor(fun() -> ok end), receive {'DOWN', M, _, _, _} -> ok end end
        || _ <- lists:seq(1, Count)],
    {[], Kept};
%% Counters; `clients` and `workers` are those that run.
request(report, Kept) ->
    {report(), Kept};
%% How often each client has reached what it wanted.
request(progress, Kept) ->
    {[{Client, Count} || {{_, _, _} = Client, Count} <- ets:tab2list(?PROGRESS)], Kept};
%% What was wrong since this was asked for the last time: counters, and at most a hundred notes with a number.
request(wrong, Kept) ->
    Counters = [One || Key <- [lost, duplicated, reordered, hung, implausible, corrupt, impostors, crashed],
        One <- ets:take(?COUNTERS, Key)],
    _ = ets:take(?COUNTERS, notes),
    {Counters ++ [Note || {Number, _} <- ets:tab2list(?NOTES), Note <- ets:take(?NOTES, Number)], Kept};
%% What each worker that runs waits for.
request(waiting, Kept) ->
    {[{Pid, {Of, process_info(Pid, [monitors, links, messages])}} || {{worker, Pid}, Of} <- workers()], Kept};
%% Every client ends once it knows what became of its last step.
request(quiesce, Kept) ->
    ets:insert(?COUNTERS, {running, 0}),
    {[], Kept};
%% Learns pids of the peer, to be used by `probe`.
request({keep, Peer}, _) ->
    {reply, {Token, Server, Sink}} = call(Peer, who),
    {[{kept, 2}], [{Token, Server}, {Token, Sink}]};
%% What has become of these: `same` process, `dead`, or another one, an impostor.
request(probe, Kept) ->
    Outcomes = [probe(One) || One <- Kept],
    {[{Key, length([O || O <- Outcomes, O =:= Key])} || Key <- [same, dead, impostors, hung]], Kept};
%% Sends Count messages of Size bytes to the peer's sink as fast as the way takes them; counted by `floods` when all
%% have come.
request({flood, Peer, Count, Size}, Kept) ->
    {reply, {_, _, Sink}} = call(Peer, who),
    client(Peer, {flood, 1}, #{count => Count, size => Size, sink => Sink}),
    {[], Kept}.

report() ->
    [{workers, length(workers())}, {memory, erlang:memory(total)}, {processes, erlang:system_info(process_count)}
        | ets:tab2list(?COUNTERS)].

%% Those that run: one that is linked may have ended with the other side.
workers() ->
    [Worker || {{worker, Pid}, _} = Worker <- ets:tab2list(?PROGRESS), is_process_alive(Pid)].

json(Pairs) ->
    ["{", lists:join(",", [[string(Key), ":", value(Value)] || {Key, Value} <- Pairs]), "}"].

value(Number) when is_integer(Number) -> integer_to_list(Number);
value(Text) -> string(Text).

string(Term) ->
    Text = lists:flatten(io_lib:format("~0p", [Term])),
    [$", [[$\\ || C =:= $" orelse C =:= $\\] ++ [C] || C <- Text], $"].

count(Key) -> count(Key, 1).
count(Key, N) -> ets:update_counter(?COUNTERS, Key, N, {Key, 0}).

%% Counts something wrong, and keeps the words for it.
wrong(Key, What) -> wrong(Key, 1, What).
wrong(Key, N, What) ->
    count(Key, N),
    Number = ets:update_counter(?COUNTERS, notes, 1, {notes, 0}),
    _ = [ets:insert(?NOTES, {Number, {Key, erlang:system_time(millisecond), What}}) || Number =< 100],
    ok.

running() -> ets:lookup_element(?COUNTERS, running, 2) =:= 1.

%% ---- the server

%% Ledger: what has come from each sender. Requests: the last request of each caller.
init([]) ->
    Token = {node(), erlang:system_time(), make_ref()},
    Sink = spawn(fun() -> sink(Token, #{}) end),
    {ok, #{token => Token, sink => Sink, ledger => #{}, requests => #{}}}.

handle_call(who, _, #{token := Token, sink := Sink} = State) ->
    {reply, {Token, self(), Sink}, State};
handle_call({echo, Id, Number, Delay, Payload}, From, #{requests := Requests} = State) ->
    {Key, Life} = Id,
    case Requests of
        #{Key := {Life, Last}} when Number =< Last -> wrong(duplicated, {request, Id, Number, Last});
        _ -> ok
    end,
    Reply = {echoed, Id, Number, Payload},
    _ = case Delay of
        0 -> gen_server:reply(From, Reply);
        _ -> spawn(fun() -> timer:sleep(Delay), gen_server:reply(From, Reply) end)
    end,
    {noreply, State#{requests := Requests#{Key => {Life, Number}}}};
handle_call({worker, Kind, Client}, From, State) ->
    spawn(fun() -> worker(Kind, Client, From) end),
    {noreply, State}.

handle_cast(Message, State) ->
    handle_info(Message, State).

handle_info(Message, #{ledger := Ledger} = State) ->
    {noreply, State#{ledger := take(Message, Ledger)}}.

sink(Token, Ledger) ->
    receive
        {'$gen_call', From, who} ->
            gen_server:reply(From, {Token, self(), self()}),
            sink(Token, Ledger);
        Message ->
            sink(Token, take(Message, Ledger))
    end.

%% ---- the ledger: for each sender its epoch, the highest number that came, and the gaps below it

take({numbered, Key, Epoch, Number, Payload}, Ledger) ->
    intact(Payload),
    case Ledger of
        #{Key := {Epoch, Last, Gaps}} when Number =:= Last + 1 ->
            Ledger#{Key := {Epoch, Number, Gaps}};
        #{Key := {Epoch, Last, Gaps}} when Number > Last ->
            count(gaps),
            Ledger#{Key := {Epoch, Number, [{Last + 1, Number - 1} | Gaps]}};
        #{Key := {Epoch, Last, Gaps}} ->
            case [Gap || {From, To} = Gap <- Gaps, Number >= From, Number =< To] of
                [] -> wrong(duplicated, {message, Key, Epoch, Number, Last});
                _ -> wrong(reordered, {message, Key, Epoch, Number, Last})
            end,
            Ledger;
        #{Key := {Later, _, _}} when Later > Epoch ->
            wrong(reordered, {epoch, Key, Epoch, Later}),
            Ledger;
        _ when Number =:= 1 ->
            Ledger#{Key => {Epoch, 1, []}};
        _ ->
            count(gaps),
            Ledger#{Key => {Epoch, Number, [{1, Number - 1}]}}
    end;
take({barrier, Key, Epoch, Number, From, Ref}, Ledger) ->
    case Ledger of
        #{Key := {Epoch, Last, Gaps}} ->
            Missing = lists:sum([To - First + 1 || {First, To} <- Gaps]),
            From ! {acknowledged, Ref, Number - Last + Missing};
        _ ->
            From ! {acknowledged, Ref, Number}
    end,
    Ledger;
take(Other, Ledger) ->
    wrong(duplicated, {unexpected, Other}),
    Ledger.

payload(Size) ->
    Binary = binary:copy(<<(erlang:unique_integer()):64>>, max(1, Size div 8)),
    {Binary, erlang:crc32(Binary)}.

intact({Binary, Crc}) ->
    erlang:crc32(Binary) =:= Crc orelse wrong(corrupt, {payload, byte_size(Binary)}).

%% ---- workers: processes that clients watch, link to, and tell to end

worker(Kind, Client, From) ->
    ets:insert(?PROGRESS, {{worker, self()}, {Kind, Client}}),
    Monitor = erlang:monitor(process, Client),
    Reason = worker(Kind, Monitor, Client, From),
    ets:delete(?PROGRESS, {worker, self()}),
    exit(Reason).

worker(plain, Monitor, _, From) ->
    gen_server:reply(From, self()),
    receive
        {stop, Reason} -> Reason;
        {'DOWN', Monitor, process, _, _} -> normal
    end;
%% Linked from this side, and told of the other's end.
worker({linked, Other}, _, Client, From) ->
    process_flag(trap_exit, true),
    link(Other),
    gen_server:reply(From, self()),
    receive
        {'EXIT', Other, Reason} ->
            Client ! {linked, Other, Reason},
            receive {'EXIT', Other, Again} -> wrong(duplicated, {exit, Other, Reason, Again})
            after 300 -> ok
            end
    end,
    normal.

%% ---- clients

%% What is done with each peer, and how many do it.
scenarios(Options) ->
    Always = [
        {send_to_name, 2}, {send_to_pid, 2}, {call, 2}, {call_pid, 1}, {call_late, 2},
        {monitor, 1}, {demonitor, 1}, {link, 1}, {unlink, 1}, {linked, 1}, {kept, 1}
    ],
    Groups = [One || is_map_key(groups, Options), One <- [{send_to_member, 1}, {send_to_group, 1}]],
    Nodes = [{watch_node, 1} || is_map_key(nodes, Options)],
    All = Always ++ Groups ++ Nodes,
    [{Name, N} || {Name, Count} <- All, N <- lists:seq(1, Count)].

client(Peer, {Scenario, Index}, Options) ->
    %% a node that was started again has other clients of the same names
    Life = erlang:system_time(),
    Client = Options#{peer => Peer, key => {node(), Peer, Scenario, Index}, life => Life},
    count(clients),
    spawn(fun() ->
        process_flag(trap_exit, true),
        try
            run(Scenario, Client)
        catch
            Class:Reason:Stack -> wrong(crashed, {Scenario, Class, Reason, Stack})
        end,
        count(clients, -1)
    end).

run(send_to_name, #{peer := Peer} = Client) -> sender(fun() -> {ok, Peer} end, 1, Client);
run(send_to_pid, Client) -> sender(sink_of(Client), 1, Client);
run(send_to_member, #{peer := {Name, _}} = Client) -> sender(fun() -> member({checker, Name}) end, 1, Client);
run(send_to_group, #{groups := {_, _, Far}} = Client) ->
    sender(fun() -> member(Far) end, 1, Client#{several => 2, big_every => 1 bsl 60});
run(flood, Client) -> flood(Client);
run(call, #{peer := Peer} = Client) -> caller(Peer, 1, 0, Client);
run(call_pid, Client) -> caller(undefined, 1, 0, Client);
run(call_late, #{peer := Peer} = Client) -> caller(Peer, 1, 150, Client);
run(kept, Client) -> keeper([], Client);
run(watch_node, Client) -> node_watcher(Client);
run(Scenario, Client) -> repeated(Scenario, 1, Client).

sink_of(#{peer := Peer}) ->
    fun() ->
        case call(Peer, who) of
            {reply, {_, _, Sink}} -> {ok, Sink};
            _ -> unknown
        end
    end.

join(#{groups := {Own, Near, _}}) ->
    {ok, _} = pg:start(pg),
    {_, _, Sink} = gen_server:call(checker, who),
    [ok = pg:join(pg, Group, Sink) || Group <- [{checker, Own}, Near]];
join(_) ->
    [].

member(Group) ->
    case pg:get_members(pg, Group) of
        [Member] -> {ok, Member};
        [] -> unknown;
        Several -> wrong(duplicated, {members, Group, Several}), unknown
    end.

succeeded(#{key := {_, Peer, Scenario, Index}}) ->
    ets:update_counter(?PROGRESS, {Peer, Scenario, Index}, 1).

%% Between two steps; also when the way is closed, so that nobody runs round and round.
rest(#{interval := Interval}) ->
    strays(),
    timer:sleep(Interval div 2 + rand:uniform(max(1, Interval))).

%% Whatever nobody waits for any more. What was asked before a DOWN may be answered after it, once: the other side did
%% not know.
strays() ->
    receive
        {Kind, What, _} when Kind =:= acknowledged; Kind =:= linked -> late(What), strays();
        {Tag, _} when is_reference(Tag) -> late(reply), strays();
        {[alias | Tag], _} when is_reference(Tag) -> late(alias_reply), strays();
        Other -> wrong(duplicated, {stray, Other}), strays()
    after 0 -> ok
    end.

late(What) ->
    Given = given_up(),
    case lists:member(What, Given) of
        true -> count(late), put(given_up, lists:delete(What, Given));
        false -> wrong(duplicated, {late, What})
    end,
    ok.

%% The last answers that this client does not wait for any more.
given_up() ->
    case get(given_up) of undefined -> []; Given -> Given end.

give_up(What) ->
    put(given_up, lists:sublist([What | given_up()], 100)).

%% ---- numbered messages

sender(Find, Epoch, Client) ->
    case running() andalso Find() of
        false -> ok;
        {ok, Target} ->
            Monitor = erlang:monitor(process, Target),
            epoch(Target, Monitor, {maps:get(life, Client), Epoch}, 0, Client),
            erlang:demonitor(Monitor, [flush]),
            %% strays of the whole epoch are found here
            rest(Client),
            sender(Find, Epoch + 1, Client);
        unknown -> rest(Client), sender(Find, Epoch, Client)
    end.

%% Until the monitor speaks, or the load ends.
epoch(Target, Monitor, Epoch, Last, #{key := Key, burst := Burst, interval := Interval} = Client) ->
    Next = Last + Burst,
    [Target ! {numbered, Key, Epoch, N, payload(size(N, Client))} || N <- lists:seq(Last + 1, Next)],
    count(sent, Burst),
    case barrier(Target, Monitor, Epoch, Next, Client) of
        down -> ok;
        acknowledged ->
            succeeded(Client),
            receive
                {'DOWN', Monitor, process, _, Reason} -> noticed(Reason, Client)
            after Interval ->
                case running() of
                    true -> epoch(Target, Monitor, Epoch, Next, Client);
                    false -> ok
                end
            end
    end.

size(Number, #{big_every := Every}) when Number rem Every =:= 0 -> ?BIG;
size(Number, _) -> Number rem 512.

%% Asks the receiver what is missing up to here.
barrier(Target, Monitor, Epoch, Number, #{key := Key} = Client) ->
    Ref = make_ref(),
    Target ! {barrier, Key, Epoch, Number, self(), Ref},
    receive
        %% one of two that share a group may have missed what the other has: it came later, or was away
        {acknowledged, Ref, _} when is_map_key(several, Client) ->
            give_up(Ref),
            others(),
            acknowledged;
        {acknowledged, Ref, 0} ->
            acknowledged;
        {acknowledged, Ref, Missing} ->
            receive
                {'DOWN', Monitor, process, _, Reason} -> noticed(Reason, Client)
            after 10000 -> wrong(lost, Missing, {Key, Epoch, Number})
            end,
            down;
        {'DOWN', Monitor, process, _, Reason} ->
            [give_up(Ref) || _ <- lists:seq(1, answers(Client))],
            noticed(Reason, Client),
            down
    after ?HUNG ->
        [give_up(Ref) || _ <- lists:seq(1, answers(Client))],
        wrong(hung, {barrier, Key, Epoch, Number}),
        down
    end.

%% How many answer a barrier.
answers(#{several := Count}) -> Count;
answers(_) -> 1.

%% The answers of the others in the group to earlier barriers.
others() ->
    receive {acknowledged, What, _} -> late(What), others()
    after 0 -> ok
    end.

%% The process that stands for a group ends in order when the bridge does.
noticed(shutdown, #{several := _}) ->
    count(notices);
noticed(Reason, #{key := Key}) ->
    count(notices),
    plausible(Reason) orelse wrong(implausible, {'DOWN', Key, Reason}).

flood(#{sink := Target, count := Count, size := Size, life := Life} = Client) ->
    Monitor = erlang:monitor(process, Target),
    flood(1, Count, Target, Monitor, {Life, 1}, payload(Size), Client),
    erlang:demonitor(Monitor, [flush]).

flood(Number, Count, Target, Monitor, Epoch, _, Client) when Number > Count ->
    _ = [count(floods) || acknowledged <- [barrier(Target, Monitor, Epoch, Count, Client)]],
    ok;
flood(Number, Count, Target, Monitor, Epoch, Payload, #{key := Key} = Client) ->
    receive
        {'DOWN', Monitor, process, _, Reason} -> noticed(Reason, Client)
    after 0 ->
        Target ! {numbered, Key, Epoch, Number, Payload},
        count(sent),
        flood(Number + 1, Count, Target, Monitor, Epoch, Payload, Client)
    end.

%% ---- calls

caller(Target, Number, Delay, #{peer := Peer, key := Key, life := Life} = Client) ->
    strays(),
    case running() of
        false -> ok;
        true when Target =:= undefined ->
            case call(Peer, who) of
                {reply, {_, Server, _}} -> caller(Server, Number, Delay, Client);
                _ -> rest(Client), caller(undefined, Number, Delay, Client)
            end;
        true ->
            Id = {Key, Life},
            Payload = payload(case Number rem 50 of 0 -> 200000; N -> N end),
            count(calls),
            Next = case call(Target, {echo, Id, Number, Delay, Payload}) of
                {reply, {echoed, Id, Number, Payload}} -> succeeded(Client), Target;
                {reply, Other} -> wrong(corrupt, {reply, Id, Number, Other}), Target;
                _ when is_pid(Target) -> undefined;
                _ -> Target
            end,
            rest(Client),
            caller(Next, Number + 1, Delay, Client)
    end.

%% {reply, Reply}, or {failed, Reason} when it did not come.
call(Target, Request) ->
    try
        {reply, gen_server:call(Target, Request, ?HUNG)}
    catch
        exit:{timeout, _} ->
            wrong(hung, {call, Target, shape(Request)}),
            {failed, timeout};
        exit:{Reason, {gen_server, call, _}} ->
            count(failed_calls),
            %% from OTP 24 on an alias keeps off the reply to a call that has failed; before, it may come, and from
            %% servers of before, who send it to the process
            give_up(case erlang:system_info(otp_release) < "24" of true -> reply; false -> alias_reply end),
            plausible(Reason) orelse wrong(implausible, {call, Target, Reason}),
            {failed, Reason}
    end.

%% Enough to tell requests apart; payloads are large.
shape({echo, Id, Number, Delay, _}) -> {echo, Id, Number, Delay};
shape(Request) -> Request.

%% Reasons for which a BEAM programmer is prepared when another node is concerned.
plausible(noconnection) -> true;
plausible(noproc) -> true;
plausible({nodedown, _}) -> true;
plausible(_) -> false.

%% ---- monitors and links, one worker after the other

repeated(Scenario, Number, Client) ->
    case running() of
        false -> ok;
        true ->
            Started = step(Scenario, {why, Number}, Client),
            Started andalso succeeded(Client),
            rest(Client),
            repeated(Scenario, Number + 1, Client)
    end.

%% Whether all of it took place, and was not cut short.
step(linked, Why, #{peer := Peer}) ->
    {Local, Monitor} = spawn_monitor(fun() -> receive {stop, Reason} -> exit(Reason) end end),
    Done = case call(Peer, {worker, {linked, Local}, self()}) of
        {reply, Worker} ->
            Remote = erlang:monitor(process, Worker),
            Local ! {stop, Why},
            Told = receive
                {linked, Local, Reason} -> Reason;
                {'DOWN', Remote, process, _, _} -> give_up(Local), noconnection
            after ?HUNG -> give_up(Local), wrong(hung, {linked, Worker}), hung
            end,
            erlang:demonitor(Remote, [flush]),
            expected(Told, Why, linked);
        _ ->
            %% the request may still have gone through
            give_up(Local),
            exit(Local, kill),
            false
    end,
    receive {'DOWN', Monitor, process, _, _} -> Done
    after ?HUNG -> wrong(hung, {linked, Local}), exit(Local, kill), false
    end;
step(Scenario, Why, #{peer := Peer}) ->
    case call(Peer, {worker, plain, self()}) of
        {reply, Worker} -> step(Scenario, Why, Worker, []);
        _ -> false
    end.

step(monitor, Why, Worker, _) ->
    Monitor = erlang:monitor(process, Worker),
    Worker ! {stop, Why},
    expected(down(Monitor), Why, monitor);
%% after demonitor, a DOWN that comes is a stray
step(demonitor, Why, Worker, _) ->
    Taken = erlang:monitor(process, Worker),
    erlang:demonitor(Taken),
    receive {'DOWN', Taken, process, _, _} -> ok after 0 -> ok end,
    step(monitor, Why, Worker, []);
step(link, Why, Worker, _) ->
    link(Worker),
    Worker ! {stop, Why},
    receive {'EXIT', Worker, Reason} -> expected(Reason, Why, link)
    after ?HUNG -> wrong(hung, {link, Worker}), false
    end;
%% after unlink, an exit signal that comes is a stray
step(unlink, Why, Worker, _) ->
    link(Worker),
    unlink(Worker),
    receive {'EXIT', Worker, _} -> ok after 0 -> ok end,
    step(monitor, Why, Worker, []).

down(Monitor) ->
    receive {'DOWN', Monitor, process, _, Reason} -> Reason
    after ?HUNG -> wrong(hung, {monitor, Monitor}), erlang:demonitor(Monitor, [flush]), hung
    end.

expected(Why, Why, _) -> true;
expected(hung, _, _) -> false;
expected(Reason, Why, Scenario) ->
    count(cut_short),
    plausible(Reason) orelse wrong(implausible, {Scenario, Reason, Why}),
    false.

%% ---- nodes that are watched: who is told by a DOWN that a node is lost is told by nodedown, and the other way round

node_watcher(#{peer := {_, Node} = Peer} = Client) ->
    case running() of
        false -> ok;
        true ->
            true = erlang:monitor_node(Node, true),
            Monitor = erlang:monitor(process, Peer),
            %% an attempt to connect that failed has told one of them
            case {call(Peer, who), told(Monitor, Node, 0)} of
                {{reply, _}, nothing} -> watching(Monitor, Client);
                _ -> ok
            end,
            erlang:demonitor(Monitor, [flush]),
            true = erlang:monitor_node(Node, false),
            receive {nodedown, Node} -> ok after 0 -> ok end,
            rest(Client),
            node_watcher(Client)
    end.

watching(Monitor, #{peer := {_, Node} = Peer, key := Key, interval := Interval} = Client) ->
    case told(Monitor, Node, Interval) of
        nothing ->
            _ = [succeeded(Client) || {reply, _} <- [call(Peer, who)]],
            case running() of
                true -> watching(Monitor, Client);
                false -> ok
            end;
        nodedown ->
            count(notices),
            receive {'DOWN', Monitor, process, _, _} -> ok
            after ?HUNG -> wrong(hung, {'DOWN', after_nodedown, Key})
            end;
        noconnection ->
            count(notices),
            receive {nodedown, Node} -> ok
            after ?HUNG -> wrong(hung, {nodedown, Key})
            end;
        Reason ->
            noticed(Reason, Client)
    end.

told(Monitor, Node, Timeout) ->
    receive
        {nodedown, Node} -> nodedown;
        {'DOWN', Monitor, process, _, Reason} -> Reason
    after Timeout -> nothing
    end.

%% ---- pids that are kept: the same process, or none

keeper(Kept, #{peer := Peer} = Client) ->
    case running() of
        false -> ok;
        true ->
            More = case call(Peer, who) of
                {reply, {Token, Server, Sink}} -> lists:usort([{Token, Server}, {Token, Sink} | Kept]);
                _ -> Kept
            end,
            Outcomes = [probe(One) || One <- More],
            lists:member(same, Outcomes) andalso succeeded(Client),
            rest(Client),
            %% the youngest are kept; a token begins with the node and the time
            keeper(lists:sublist(lists:reverse(lists:keysort(1, More)), 6), Client)
    end.

probe({Token, Pid}) ->
    case call(Pid, who) of
        {reply, {Token, _, _}} -> same;
        {reply, Other} -> wrong(impostors, {Pid, Token, Other}), impostors;
        {failed, timeout} -> hung;
        {failed, _} -> dead
    end.
