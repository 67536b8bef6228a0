// Serves a counter that Erlang and Elixir call as they call any GenServer:
//   COOKIE=secret node serve-genserver.mjs js@127.0.0.1
//   1> gen_server:call({counter, 'js@127.0.0.1'}, {add, 5}).
//   iex> GenServer.call({:counter, :"js@127.0.0.1"}, {:add, 5})
// Needs an epmd on this host; every running BEAM node has started one. `stop` as a cast ends it.
import { setTimeout as sleep } from "node:timers/promises";
import { raise, startNode } from "@isthmus/core";
import { atom, inspectTerm } from "@isthmus/etf";

const node = await startNode({
  name: process.argv[2],
  cookie: process.env.COOKIE,
  listen: { host: "127.0.0.1" },
});

let count = 0;
const server = node.serve("counter", {
  call(request) {
    if (request === atom("get")) return count;
    // a promise is waited for; other requests are served meanwhile
    if (request === atom("get_later")) return sleep(50).then(() => count);
    const [what, number] = request.elements ?? [];
    if (what === atom("add") && Number.isInteger(number)) {
      count += number;
      return count;
    }
    // the caller exits with this reason, and the server with it: as in Erlang
    return raise("exit", atom("bad_request"));
  },
  cast(message) {
    if (message === atom("stop")) server.exit();
  },
  info(message) {
    console.log("got", inspectTerm(message));
  },
});

// functions for rpc:call, :erpc.call and the like; everything else does not exist for others
node.processes.expose({ "counter:double/1": (number) => Number(number) * 2 });
node.onNodeEvent(({ type, node: name }) => console.log(type, name));

console.log(`${node.name} serves counter`);
console.log("ended:", inspectTerm(await server.exited));
await node.close();
