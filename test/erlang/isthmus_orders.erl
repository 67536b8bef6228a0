%% A gen_server for tests. Anything it does not know is an error, except plain messages, which it keeps.
%%
%% calls  {echo, T} -> T                    {add, A, B} -> A + B
%%        {later, Ms, T} -> T, answered by another process after Ms milliseconds
%%        whoami -> {self(), node()}        {whereis, Name} -> what erlang:whereis/1 says here
%%        notes, infos -> [T], oldest first forget -> ok, and notes and infos are empty
%%        spawn_worker -> a pid that keeps nothing and ends with Reason when it gets {stop, Reason}
%%        never: no answer                  {crash, R}: error(R)
%%        {stop, R}: ends with R and no answer
%% casts  {note, T}: kept                   {forward, To, T}: To ! T
%%        {crash, R}, {stop, R}
%% A call without arguments may also be written as a tuple: {whoami}.
-module(isthmus_orders).
-behaviour(gen_server).

-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

init([]) ->
    {ok, #{notes => [], infos => []}}.

handle_call({Call}, From, State) when is_atom(Call) ->
    handle_call(Call, From, State);
handle_call({echo, Term}, _From, State) ->
    {reply, Term, State};
handle_call({add, A, B}, _From, State) ->
    {reply, A + B, State};
handle_call({later, Ms, Term}, From, State) ->
    spawn_link(fun() -> timer:sleep(Ms), gen_server:reply(From, Term) end),
    {noreply, State};
handle_call(whoami, _From, State) ->
    {reply, {self(), node()}, State};
handle_call({whereis, Name}, _From, State) ->
    {reply, whereis(Name), State};
handle_call(spawn_worker, _From, State) ->
    {reply, spawn(fun worker/0), State};
handle_call(Kept, _From, State) when Kept =:= notes; Kept =:= infos ->
    {reply, lists:reverse(maps:get(Kept, State)), State};
handle_call(forget, _From, State) ->
    {reply, ok, State#{notes := [], infos := []}};
handle_call({forward, To, Term}, _From, State) ->
    To ! Term,
    {reply, ok, State};
handle_call(never, _From, State) ->
    {noreply, State};
handle_call({crash, Reason}, _From, _State) ->
    error(Reason);
handle_call({stop, Reason}, _From, State) ->
    {stop, Reason, State}.

handle_cast({note, Term}, #{notes := Notes} = State) ->
    {noreply, State#{notes := [Term | Notes]}};
handle_cast({forward, To, Term}, State) ->
    To ! Term,
    {noreply, State};
handle_cast({crash, Reason}, _State) ->
    error(Reason);
handle_cast({stop, Reason}, State) ->
    {stop, Reason, State}.

handle_info(Message, #{infos := Infos} = State) ->
    {noreply, State#{infos := [Message | Infos]}}.

worker() ->
    receive
        {stop, Reason} -> exit(Reason);
        _ -> worker()
    end.
