import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, test } from "vitest";
import { freePort } from "./epmd.ts";
import { OwnedProcess } from "./owned-process.ts";

/** Options of {@link startRabbit}. */
export interface RabbitOptions {
  /** Full node name with a long host, such as "rabbit1@127.0.0.1". */
  readonly name: string;
  readonly cookie: string;
  /** Port of the epmd, on loopback, that the node uses; it does not start one itself. */
  readonly epmdPort: number;
}

/** A real RabbitMQ node on loopback, alone in its cluster. */
export interface Rabbit {
  readonly node: string;
  /** Evaluates an Erlang expression on it by `rabbitmqctl eval`. @returns what that prints, without the line end */
  eval(expression: string): Promise<string>;
  /** Ends it and removes its files. Any number of times. */
  stop(): Promise<void>;
}

const LIBRARY = "/usr/lib/rabbitmq/lib";

/** The folder of RabbitMQ's programs (Debian: rabbitmq-server); undefined when it is not there. */
function programs(): string | undefined {
  try {
    const version = readdirSync(LIBRARY).find((name) => name.startsWith("rabbitmq_server-"));
    if (version === undefined) return undefined;
    const folder = join(LIBRARY, version, "sbin");
    accessSync(join(folder, "rabbitmq-server"), constants.X_OK);
    return folder;
  } catch {
    return undefined;
  }
}

/**
 * `describe` for tests that need RabbitMQ. Where it is missing there is a test that says so: failing when `CI=true` or
 * `ISTHMUS_REQUIRE_PEERS=1`, else skipped.
 */
export function describeRabbit(title: string, body: () => void): void {
  const missing = "RabbitMQ is not installed (Debian: rabbitmq-server)";
  if (programs() !== undefined) describe(title, body);
  else if (process.env["CI"] === "true" || process.env["ISTHMUS_REQUIRE_PEERS"] === "1") {
    test(title, () => {
      throw new Error(missing);
    });
  } else test.skip(`${title}: ${missing}`, () => {});
}

/** Starts a node and waits until it has started completely. @throws with its output if it does not */
export async function startRabbit(options: RabbitOptions): Promise<Rabbit> {
  const folder = programs();
  if (folder === undefined) throw new Error("RabbitMQ is not installed.");
  const home = mkdtempSync(join(tmpdir(), "isthmus-rabbit-"));
  mkdirSync(join(home, "log"));
  writeFileSync(join(home, "plugins"), "[].\n");
  writeFileSync(join(home, ".erlang.cookie"), options.cookie, { mode: 0o400 });
  const env = {
    HOME: home,
    LC_ALL: "C.UTF-8",
    ERL_EPMD_PORT: String(options.epmdPort),
    ERL_EPMD_ADDRESS: "127.0.0.1",
    RABBITMQ_NODENAME: options.name,
    RABBITMQ_USE_LONGNAME: "true",
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_NODE_PORT: String(await freePort()),
    RABBITMQ_DIST_PORT: String(await freePort()),
    RABBITMQ_MNESIA_BASE: home,
    RABBITMQ_LOG_BASE: join(home, "log"),
    RABBITMQ_CONFIG_FILE: join(home, "rabbitmq"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(home, "plugins"),
    RABBITMQ_PID_FILE: join(home, "pid"),
    RABBITMQ_CONF_ENV_FILE: "/dev/null",
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-start_epmd false +sbwt none +sbwtdcpu none +sbwtdio none",
  };
  const server = await OwnedProcess.start(
    `RabbitMQ ${options.name}`,
    join(folder, "rabbitmq-server"),
    [],
    env,
  );
  const control = async (...args: string[]): Promise<{ status: number | null; output: string }> => {
    const all = ["-q", "-n", options.name, "--longnames", ...args];
    const child = await OwnedProcess.start("rabbitmqctl", join(folder, "rabbitmqctl"), all, env);
    const { code } = await child.exited;
    return { status: code, output: child.output };
  };
  const stop = async (): Promise<void> => {
    await server.stop();
    rmSync(home, { recursive: true, force: true });
  };
  // await_startup gives up at once while the node is not there, and is itself a BEAM with much to load
  for (const end = Date.now() + 180_000; (await control("await_startup")).status !== 0; await sleep(1000)) {
    if (server.running && Date.now() < end) continue;
    await stop();
    throw new Error(`RabbitMQ ${options.name} did not start. It printed:\n${server.output}`);
  }
  return {
    node: options.name,
    async eval(expression) {
      const { status, output } = await control("eval", `${expression}.`);
      if (status !== 0) throw new Error(`rabbitmqctl eval ${expression} failed: ${output}`);
      return output.trim();
    },
    stop,
  };
}
