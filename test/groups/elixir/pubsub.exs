# What an application does with Phoenix.PubSub 2 and its default adapter, acted out by what is public of it: workers
# that are registered as Name.Adapter, Name.Adapter_2 ..., each a member of the group of its name in the scope
# Phoenix.PubSub, which get {:forward_to_local, topic, message, dispatcher}. Nothing in here knows of a bridge.
defmodule Phoenix.PubSub do
  def start(name, pool_size) do
    {:ok, _} = :pg.start(Phoenix.PubSub)
    {:ok, supervisor} = Supervisor.start_link([{Registry, keys: :duplicate, name: name}], strategy: :one_for_one)
    Process.unlink(supervisor)
    for worker <- workers(name, pool_size), do: {:ok, _} = GenServer.start(Acted.Worker, {name, worker}, name: worker)
    :persistent_term.put({Phoenix.PubSub, name}, pool_size)
  end

  def subscribe(name, topic), do: {:ok, _} = Registry.register(name, topic, nil)

  def broadcast(name, topic, message), do: broadcast_from(name, :none, topic, message)

  def broadcast_from(name, from, topic, message) do
    for pid <- :pg.get_members(Phoenix.PubSub, group(name)), node(pid) != node() do
      send(pid, {:forward_to_local, topic, message, Phoenix.PubSub})
    end

    local_broadcast_from(name, from, topic, message)
  end

  def direct_broadcast(node, name, topic, message) do
    send({group(name), node}, {:forward_to_local, topic, message, Phoenix.PubSub})
    :ok
  end

  def local_broadcast(name, topic, message), do: local_broadcast_from(name, :none, topic, message)

  defp local_broadcast_from(name, from, topic, message),
    do: Registry.dispatch(name, topic, {__MODULE__, :dispatch, [from, message]})

  def dispatch(entries, from, message), do: for({pid, _} <- entries, pid != from, do: send(pid, message))

  # the one of the caller
  defp group(name) do
    size = :persistent_term.get({Phoenix.PubSub, name})
    Enum.at(workers(name, size), :erlang.phash2(self(), size))
  end

  defp workers(name, size) do
    adapter = Module.concat(name, Adapter)
    [adapter | for(i <- 2..size//1, do: :"#{adapter}_#{i}")]
  end
end

defmodule Acted.Worker do
  use GenServer

  @impl true
  def init({name, worker}) do
    :ok = :pg.join(Phoenix.PubSub, worker, self())
    {:ok, name}
  end

  @impl true
  def handle_info({:forward_to_local, topic, message, dispatcher}, name) do
    Registry.dispatch(name, topic, {dispatcher, :dispatch, [:none, message]})
    {:noreply, name}
  end
end
