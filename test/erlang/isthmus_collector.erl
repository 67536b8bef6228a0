%% A process that records every message it receives, oldest first, and runs funs on request: to monitor, to
%% link, to send as itself. Its own requests carry a tag that nothing else sends.
-module(isthmus_collector).

-export([start/0, start/1, messages/1, messages/3, forget/1, run/2]).

-define(TAG, '$isthmus_collector').

start() ->
    spawn(fun() -> loop([], []) end).

%% Registered under Name before this returns.
start(Name) ->
    Pid = start(),
    true = register(Name, Pid),
    Pid.

messages(Collector) ->
    messages(Collector, 0, infinity).

%% Waits until there are at least Count messages, or for Timeout milliseconds; then those there are.
messages(Collector, Count, Timeout) ->
    request(Collector, {messages, Count, Timeout}).

forget(Collector) ->
    request(Collector, forget).

%% Fun's result, or exits with the reason for which Fun failed; the collector goes on in either case.
run(Collector, Fun) ->
    case request(Collector, {run, Fun}) of
        {ok, Value} -> Value;
        {failed, Reason} -> exit(Reason)
    end.

request(Collector, Request) ->
    Monitor = erlang:monitor(process, Collector),
    Collector ! {?TAG, {self(), Monitor}, Request},
    receive
        {Monitor, Answer} ->
            erlang:demonitor(Monitor, [flush]),
            Answer;
        {'DOWN', Monitor, process, _, Reason} ->
            exit({collector, Reason})
    end.

loop(Messages, Waiting) ->
    receive
        {?TAG, From, {messages, Count, _}} when length(Messages) >= Count ->
            answer(From, lists:reverse(Messages)),
            loop(Messages, Waiting);
        {?TAG, From, {messages, Count, Timeout}} ->
            _ = [erlang:send_after(Timeout, self(), {?TAG, From, expired}) || Timeout =/= infinity],
            loop(Messages, [{Count, From} | Waiting]);
        {?TAG, From, expired} ->
            _ = [answer(From, lists:reverse(Messages)) || lists:keymember(From, 2, Waiting)],
            loop(Messages, lists:keydelete(From, 2, Waiting));
        {?TAG, From, forget} ->
            answer(From, ok),
            loop([], Waiting);
        {?TAG, From, {run, Fun}} ->
            answer(From, try {ok, Fun()} catch _:Reason -> {failed, Reason} end),
            loop(Messages, Waiting);
        Message ->
            Known = [Message | Messages],
            {Ready, Still} = lists:partition(fun({Count, _}) -> length(Known) >= Count end, Waiting),
            _ = [answer(From, lists:reverse(Known)) || {_, From} <- Ready],
            loop(Known, Still)
    end.

answer({Pid, Tag}, Answer) ->
    Pid ! {Tag, Answer}.
