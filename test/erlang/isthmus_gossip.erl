%% A member of libcluster's gossip as a BEAM is one: the calls of gen_udp, crypto and term_to_binary that the strategy
%% Cluster.Strategy.Gossip makes, with its socket options, its heartbeats and what it does with those of others.
-module(isthmus_gossip).
-export([main/1]).

%% erl -run isthmus_gossip main NAME multicast|broadcast ADDRESS SECRET
%% Prints "heard NODE" for each other heartbeat, and connects to the node if it is a node itself. Without a secret
%% SECRET is "none". NAME is what it calls itself; a distributed node is given its own.
main([Name, Mode, Address, Secret]) ->
    {ok, To} = inet:parse_ipv4_address(Address),
    {ok, Socket} = gen_udp:open(45892, options(Mode, To)),
    io:format("listening~n"),
    self() ! heartbeat,
    loop(Socket, To, list_to_atom(Name), key(Secret)).

options("multicast", Group) ->
    [{multicast_ttl, 1}, {multicast_loop, true}, {add_membership, {Group, {0, 0, 0, 0}}} | options()];
options("broadcast", _) ->
    options().

options() ->
    [binary, {active, true}, {ip, {0, 0, 0, 0}}, {reuseaddr, true}, {broadcast, true}].

key("none") -> none;
key(Secret) -> crypto:hash(sha256, Secret).

loop(Socket, To, Name, Key) ->
    receive
        heartbeat ->
            gen_udp:send(Socket, To, 45892, seal([<<"heartbeat::">>, term_to_binary(#{node => Name})], Key)),
            %% as libcluster, but ten times as often
            erlang:send_after(rand:uniform(500), self(), heartbeat);
        {udp, Socket, _, _, Packet} ->
            heard(open(Packet, Key), Name)
    end,
    loop(Socket, To, Name, Key).

seal(Heartbeat, none) ->
    Heartbeat;
seal(Heartbeat, Key) ->
    Iv = crypto:strong_rand_bytes(16),
    Text = iolist_to_binary(Heartbeat),
    N = 16 - byte_size(Text) rem 16,
    Padded = <<Text/binary, (binary:copy(<<N>>, N))/binary>>,
    [Iv, crypto:crypto_one_time(aes_256_cbc, Key, Iv, Padded, true)].

open(Packet, none) ->
    Packet;
open(<<Iv:16/binary, Cipher/binary>>, Key) when Cipher =/= <<>>, byte_size(Cipher) rem 16 =:= 0 ->
    Padded = crypto:crypto_one_time(aes_256_cbc, Key, Iv, Cipher, false),
    Size = byte_size(Padded),
    N = binary:last(Padded),
    case N =< 16 andalso binary:part(Padded, Size, -N) =:= binary:copy(<<N>>, N) of
        true -> binary:part(Padded, 0, Size - N);
        false -> <<>>
    end;
open(_, _) ->
    <<>>.

heard(<<"heartbeat::", Term/binary>>, Name) ->
    case binary_to_term(Term) of
        #{node := Name} ->
            ok;
        #{node := Node} when is_atom(Node) ->
            io:format("heard ~ts~n", [Node]),
            is_alive() andalso net_kernel:connect_node(Node)
    end;
heard(_, _) ->
    ok.
