// A BEAM node of soak.mjs, which runs test/erlang/isthmus_checker.erl.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Seconds without a sign of life after which a node or the bridge counts as lost. */
export const TICK_SECONDS = 8;

/** A BEAM node with its checker, to which it talks by a Unix socket. */
export class SoakNode {
  constructor(id, cluster, { bin, cookie, epmd }, folder) {
    Object.assign(this, { id, cluster, bin, cookie, epmd, folder });
    this.name = `${id}@127.0.0.1`;
    this.socket = join(folder, `${id}.socket`);
    this.past = {};
  }

  async start() {
    rmSync(this.socket, { force: true });
    const args = [
      ...["-noinput", "-name", this.name, "-setcookie", this.cookie, "-start_epmd", "false"],
      ...["-kernel", "inet_dist_use_interface", "{127,0,0,1}", "net_ticktime", String(TICK_SECONDS)],
      ...["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"],
      ...["-pa", join(this.folder, this.cluster), "-s", "isthmus_checker"],
    ];
    const env = {
      ...process.env,
      HOME: this.folder,
      ERL_EPMD_PORT: String(this.epmd),
      ERL_CRASH_DUMP_SECONDS: "0",
      ISTHMUS_CHECKER: this.socket,
    };
    this.child = spawn(`${this.bin}erl`, args, { env, stdio: ["ignore", "inherit", "inherit"] });
    for (const limit = Date.now() + 20_000; ; await sleep(50)) {
      const up = await this.ask("report").catch((error) => error);
      if (!(up instanceof Error)) break;
      if (Date.now() > limit) throw new Error(`${this.id} does not come up`, { cause: up });
    }
    if (this.request !== undefined) await this.ask(this.request);
  }

  async load(request) {
    this.request = request;
    await this.ask(request);
  }

  /** Its counters, with those of earlier lives. */
  async report() {
    const report = await this.ask("report");
    for (const [name, count] of Object.entries(this.past)) report[name] = (report[name] ?? 0) + count;
    return report;
  }

  async kill() {
    const { memory, processes, workers, clients, running, notes, ...counters } = await this.report();
    this.past = counters;
    this.child.kill("SIGKILL");
    await exited(this.child);
  }

  ask(request) {
    return new Promise((resolve, reject) => {
      let answer = "";
      const socket = connect(this.socket, () => socket.write(`${request}.\n`)).setEncoding("utf8");
      socket.setTimeout(30_000, () => socket.destroy(new Error(`${this.id} does not answer ${request}`)));
      socket.on("data", (text) => {
        answer += text;
        if (answer.endsWith("\n")) socket.end();
      });
      socket.once("error", reject);
      socket.once("close", () => {
        if (answer.endsWith("\n")) resolve(JSON.parse(answer));
        else reject(new Error(`${this.id} did not answer ${request}`));
      });
    });
  }
}

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

async function exited(child) {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

/** Ends a child process, paused or not, and waits for that. */
export async function stopped(child) {
  if (child === undefined) return;
  child.kill("SIGTERM");
  child.kill("SIGCONT");
  await exited(child);
}
