import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HiddenNode } from "@isthmus/core";
import type { Term } from "@isthmus/etf";
import { freePort } from "../support/epmd.ts";
import { OwnedProcess } from "../support/owned-process.ts";

const LIBRARIES = "/usr/lib/rabbitmq/lib";

/** The folder with RabbitMQ's programs, as Debian installs it; undefined when it is not installed. */
export function findRabbit(): string | undefined {
  try {
    const server = readdirSync(LIBRARIES).find((name) => name.startsWith("rabbitmq_server-"));
    return server && join(LIBRARIES, server, "sbin");
  } catch {
    return undefined;
  }
}

/** A running RabbitMQ node, on loopback only, with files of its own. */
export interface Rabbit {
  readonly node: string;
  /** Port of AMQP. */
  readonly port: number;
  /** Runs rabbitmqctl, which joins as a hidden node of its own. @returns what it printed */
  ctl(...args: readonly string[]): Promise<string>;
  /** Waits until the node says that it runs. @param node ours, which asks it */
  started(node: HiddenNode): Promise<void>;
  stop(): Promise<void>;
}

/** Starts the server as its script does, without systemd. */
export async function startRabbit(options: {
  readonly sbin: string;
  readonly node: string;
  readonly cookie: string;
  readonly epmdPort: number;
}): Promise<Rabbit> {
  const { sbin, node, cookie, epmdPort } = options;
  const folder = mkdtempSync(join(tmpdir(), "isthmus-rabbit-"));
  mkdirSync(join(folder, "log"));
  writeFileSync(join(folder, ".erlang.cookie"), cookie, { mode: 0o400 });
  writeFileSync(join(folder, "plugins"), "[].");
  const port = await freePort();
  const environment = {
    HOME: folder,
    LC_ALL: "C.UTF-8",
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: "127.0.0.1",
    RABBITMQ_NODENAME: node,
    RABBITMQ_USE_LONGNAME: "true",
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(await freePort()),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1}",
    RABBITMQ_MNESIA_BASE: folder,
    RABBITMQ_LOG_BASE: join(folder, "log"),
    RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "plugins"),
    RABBITMQ_PID_FILE: join(folder, "pid"),
    RABBITMQ_CONF_ENV_FILE: "/dev/null",
  };
  let beam: number | undefined;
  const server = await OwnedProcess.start("RabbitMQ", join(sbin, "rabbitmq-server"), [], environment);
  return {
    node,
    port,
    async ctl(...args) {
      const all = ["-n", node, "--longnames", ...args];
      const child = await OwnedProcess.start("rabbitmqctl", join(sbin, "rabbitmqctl"), all, environment);
      const { code } = await child.exited;
      if (code !== 0) throw new Error(`rabbitmqctl ${args.join(" ")} ended with ${code}:\n${child.output}`);
      return child.output;
    },
    async started(asking) {
      for (const end = Date.now() + 120_000; ; ) {
        if (!server.running || Date.now() > end) {
          throw new Error(`RabbitMQ did not start. It printed:\n${server.output}`);
        }
        // as long as it is not in epmd, or its functions are not loaded, the answer is an error
        const [answer] = await Promise.allSettled([asking.processes.rpc(node, "rabbit", "is_running", [])]);
        if (answer.status === "fulfilled" && answer.value === true) {
          beam = Number(charlist(await asking.processes.rpc(node, "os", "getpid", [])));
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    },
    async stop() {
      // the script waits for the BEAM that it has started, and ends with it
      if (beam !== undefined && server.running) process.kill(beam, "SIGKILL");
      await (beam === undefined ? server.kill() : server.exited);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The text of a list of characters. */
export function charlist(term: Term): string {
  return String.fromCodePoint(...(term as number[]));
}
