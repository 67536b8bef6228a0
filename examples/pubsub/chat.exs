# The other side of pubsub.mjs: a node with a server `Chat.PubSub`, and somebody in the room who answers.
#   elixir --name chat@127.0.0.1 --cookie secret --no-halt chat.exs
#
# It needs nothing from Hex: Chat.PubSub does on the wire what Phoenix.PubSub 2 with its adapter PG2 does, no more than
# that. In a Phoenix application `{Phoenix.PubSub, name: Chat.PubSub}` and `Phoenix.PubSub.broadcast/3` stand here.

defmodule Chat.PubSub do
  use GenServer

  # The adapter's worker has this name on each node, and is in the group of this name.
  @worker Chat.PubSub.Adapter

  def start do
    {:ok, _} = Registry.start_link(keys: :duplicate, name: Chat.Subscribers)
    GenServer.start(__MODULE__, nil, name: @worker)
  end

  def subscribe(topic), do: Registry.register(Chat.Subscribers, topic, nil)

  def broadcast(topic, message) do
    for pid <- :pg.get_members(Phoenix.PubSub, @worker), node(pid) != node() do
      send(pid, {:forward_to_local, topic, message, Phoenix.PubSub})
    end

    dispatch(topic, message)
  end

  @impl true
  def init(nil) do
    {:ok, _} = :pg.start_link(Phoenix.PubSub)
    :ok = :pg.join(Phoenix.PubSub, @worker, self())
    {:ok, nil}
  end

  @impl true
  def handle_info({:forward_to_local, topic, message, Phoenix.PubSub}, state) when is_binary(topic) do
    dispatch(topic, message)
    {:noreply, state}
  end

  defp dispatch(topic, message) do
    for {pid, _} <- Registry.lookup(Chat.Subscribers, topic), do: send(pid, message)
    :ok
  end
end

defmodule Chat.Host do
  use GenServer

  def start, do: GenServer.start(__MODULE__, "room:lobby")

  @impl true
  def init(room) do
    {:ok, _} = Chat.PubSub.subscribe(room)
    {:ok, room}
  end

  @impl true
  def handle_info({:say, "host", _}, room), do: {:noreply, room}

  def handle_info({:say, who, text}, room) do
    IO.puts("#{room}: #{who} says #{text}")
    Chat.PubSub.broadcast(room, {:say, "host", "welcome, #{who}"})
    {:noreply, room}
  end
end

{:ok, _} = Chat.PubSub.start()
{:ok, _} = Chat.Host.start()
