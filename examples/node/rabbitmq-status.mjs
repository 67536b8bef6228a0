// What `rabbitmqctl status` and `list_queues` say, without Erlang on this machine: calls functions of the RabbitMQ node.
//   node rabbitmq-status.mjs rabbit@myhost
// The cookie is the one of the RabbitMQ user: COOKIE, or the file ~/.erlang.cookie. Tested with RabbitMQ 3.10.
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { startNode } from "@isthmus/core";
import { atom } from "@isthmus/etf";

const rabbit = process.argv[2] ?? `rabbit@${process.env.HOSTNAME ?? "localhost"}`;
const host = rabbit.slice(rabbit.indexOf("@") + 1);
const cookie = process.env.COOKIE ?? readFileSync(`${homedir()}/.erlang.cookie`, "utf8").trim();

/** Binaries, charlists and atoms as text; numbers as they are. */
const text = (term) => {
  if (Buffer.isBuffer(term)) return term.toString();
  if (Array.isArray(term)) return String.fromCodePoint(...term);
  return String(term);
};
/** A list of pairs as an object. */
const keyed = (pairs) =>
  Object.fromEntries(
    pairs.filter(({ size }) => size === 2).map(({ elements: [key, value] }) => [text(key), value]),
  );
const gigabytes = (bytes) => `${Number((Number(bytes) / 1e9).toFixed(4))} gb`;
const heading = (title) => console.log(`\n${title}\n`);

const node = await startNode({ name: `js_status_${process.pid}@${host}`, cookie, listen: false });
try {
  const call = (module, name, ...args) => node.processes.rpc(rabbit, module, name, args);
  const status = keyed(await call("rabbit", "status"));
  const cluster = keyed(await call("rabbit_mnesia", "status"));
  const processes = keyed(status.processes);
  console.log(`Status of node ${rabbit} ...`);

  heading("Runtime");
  console.log(`OS PID: ${status.pid}`);
  console.log(`OS: ${text(status.os.elements[1])}`);
  console.log(`Uptime (seconds): ${status.uptime}`);
  console.log(`Is under maintenance?: ${status.is_under_maintenance}`);
  console.log(`RabbitMQ version: ${text(status.rabbitmq_version)}`);
  console.log(`Erlang configuration: ${text(status.erlang_version).trim()}`);
  console.log(`Erlang processes: ${processes.used} used, ${processes.limit} limit`);
  console.log(`Scheduler run queue: ${status.run_queue}`);
  console.log(`Cluster heartbeat timeout (net_ticktime): ${status.kernel.elements[1]}`);

  heading("Cluster");
  console.log(`Cluster name: ${text(cluster.cluster_name)}`);
  console.log(`Running nodes: ${cluster.running_nodes.map(text).join(", ")}`);
  console.log(`Partitions: ${cluster.partitions.length}`);

  heading("Alarms");
  console.log(status.alarms.length === 0 ? "(none)" : status.alarms.map(String).join("\n"));

  heading("Memory");
  const memory = keyed(status.memory);
  const total = Number(keyed(memory.total)[text(memory.strategy)]);
  console.log(`Total memory used: ${gigabytes(total)}`);
  console.log(
    `Memory high watermark setting: ${status.vm_memory_high_watermark} of available memory, computed to: ${gigabytes(status.vm_memory_limit)}`,
  );
  const parts = Object.entries(memory).filter(([, bytes]) => typeof bytes === "number" && bytes > 0);
  for (const [part, bytes] of parts.sort(([, a], [, b]) => b - a)) {
    console.log(`${part}: ${gigabytes(bytes)} (${((100 * bytes) / total).toFixed(2)} %)`);
  }

  heading("Free Disk Space");
  console.log(`Low free disk space watermark: ${gigabytes(status.disk_free_limit)}`);
  console.log(`Free disk space: ${gigabytes(status.disk_free)}`);

  heading("Listeners");
  for (const { elements } of status.listeners) {
    const [, , protocol, , address, port] = elements;
    console.log(`Interface: ${address.elements.join(".")}, port: ${port}, protocol: ${text(protocol)}`);
  }

  heading("Queues");
  // what rabbitmqctl list_queues asks for, with one function call for each virtual host
  for (const vhost of await call("rabbit_vhost", "list_names")) {
    for (const queue of await call(
      "rabbit_amqqueue",
      "info_all",
      vhost,
      ["name", "messages", "consumers"].map(atom),
    )) {
      const { name, messages, consumers } = keyed(queue);
      console.log(`${text(vhost)} ${text(name.elements[3])}: ${messages} messages, ${consumers} consumers`);
    }
  }
} finally {
  await node.close();
}
