# An Elixir node that uses a node of ours (its name is the argument) by Elixir's own means, prints one line for each
# thing it did, "name: inspected value", and then serves Shop.Cart until it gets :done.
defmodule Shop.Cart do
  use GenServer

  def start, do: GenServer.start(__MODULE__, %{}, name: __MODULE__)

  @impl true
  def init(items), do: {:ok, items}

  @impl true
  def handle_call({:add, item, count}, _from, items) do
    items = Map.update(items, item, count, &(&1 + count))
    {:reply, {:ok, items}, items}
  end

  def handle_call({:slow, ms}, from, items) do
    Task.start(fn ->
      Process.sleep(ms)
      GenServer.reply(from, :slow_but_there)
    end)

    {:noreply, items}
  end

  @impl true
  def handle_cast({:clear, by}, _items) do
    send(by, {:cleared, self()})
    {:noreply, %{}}
  end
end

defmodule Peer do
  def say(name, fun) do
    value =
      try do
        fun.()
      catch
        kind, reason -> {kind, reason}
      end

    IO.puts("#{name}: #{inspect(value, limit: :infinity, printable_limit: :infinity)}")
  end

  def down(ref) do
    receive do
      {:DOWN, ^ref, :process, object, reason} -> {object, reason}
    after
      5000 -> :nothing
    end
  end
end

[js] = System.argv() |> Enum.map(&String.to_atom/1)
Peer.say("connect", fn -> Node.connect(js) end)
Peer.say("ping", fn -> Node.ping(js) end)
Peer.say("hidden", fn -> {js in Node.list(), js in Node.list(:hidden)} end)

Peer.say("call", fn -> GenServer.call({:echo, js}, {:hello, "wörld", %{"b" => [1, nil, true], a: 1.5}}) end)
Peer.say("struct", fn -> GenServer.call({:echo, js}, ~D[2024-02-29]) == ~D[2024-02-29] end)
Peer.say("range, function, reference", fn ->
  term = {1..3, &String.upcase/1, make_ref()}
  GenServer.call({:echo, js}, term) == term
end)
Peer.say("multi_call", fn -> GenServer.multi_call([js], :echo, :x) end)
Peer.say("noproc", fn -> GenServer.call({:nobody, js}, :x) end)
Peer.say("timeout", fn -> GenServer.call({:echo, js}, :never, 50) |> elem(0) end)
Peer.say("crash", fn -> GenServer.call({:fragile, js}, :crash) end)
Peer.say("cast", fn -> {GenServer.cast({:noting, js}, :cast), GenServer.abcast([js], :noting, :abcast)} end)
# abcast sends in a process of its own
Peer.say("notes", fn ->
  Stream.repeatedly(fn -> GenServer.call({:noting, js}, :notes) end) |> Enum.find(&(length(&1) == 2)) |> Enum.sort()
end)

Peer.say("task", fn -> Task.await(Task.async(fn -> GenServer.call({:echo, js}, :from_task) end)) end)
Peer.say("async_stream", fn ->
  1..50 |> Task.async_stream(&GenServer.call({:echo, js}, &1), max_concurrency: 10) |> Enum.map(&elem(&1, 1)) |> Enum.sum()
end)

Peer.say("erpc", fn -> :erpc.call(js, :shop, :total, [[1, 2, 3]]) end)
Peer.say("erpc raise", fn -> :erpc.call(js, :shop, :fail, [:why]) end)
Peer.say("erpc multicall", fn -> :erpc.multicall([js, js], :shop, :total, [[4]]) end)
Peer.say("rpc", fn -> :rpc.call(js, :shop, :total, [[5, 6]]) end)
Peer.say("rpc not exposed", fn -> {:badrpc, {:EXIT, {why, _}}} = :rpc.call(js, System, :cmd, ["id", []]); why end)
Peer.say("Node.spawn_monitor", fn -> {_, ref} = Node.spawn_monitor(js, :shop, :leave, [:bye]); Peer.down(ref) |> elem(1) end)

Peer.say("monitor", fn ->
  ref = Process.monitor({:mortal, js})
  send({:mortal, js}, :die)
  Peer.down(ref)
end)

Peer.say("alias", fn ->
  me = :erlang.alias([:reply])
  send({:answering, js}, {me, :question})
  receive do: (answer -> answer), after: (5000 -> :nothing)
end)

Peer.say("link", fn ->
  Process.flag(:trap_exit, true)
  pid = GenServer.call({:pids, js}, :pid)
  Process.link(pid)
  send(pid, :die)
  receive do: ({:EXIT, ^pid, reason} -> {node(pid) == js, reason}), after: (5000 -> :nothing)
end)

Node.monitor(js, true)
{:ok, _} = Shop.Cart.start()
Process.register(self(), :peer)
IO.puts("serving")

receive do
  :done -> :ok
end

# by now the other node has gone
Peer.say("node down", fn -> receive do: ({:nodedown, ^js} -> :nodedown), after: (5000 -> :nothing) end)
System.halt(0)
