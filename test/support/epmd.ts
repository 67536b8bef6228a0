import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { OwnedProcess } from "./owned-process.ts";
import { type OtpRelease, requireOtp } from "./peers.ts";

/** State of a listening socket in /proc/PID/net/tcp. */
const LISTEN = "0A";

/** A real epmd on loopback. */
export interface Epmd {
  readonly port: number;
  readonly pid: number;
  readonly output: string;
  /** SIGSTOP and SIGCONT: it accepts connections, for the kernel does, but answers nothing in between. */
  pause(): Promise<void>;
  resume(): void;
  /** Ends it by its pid and waits for that. Any number of times. */
  stop(): Promise<void>;
  kill(): Promise<void>;
}

/** Starts an epmd on `port`, or on a free one, and waits until it answers. */
export async function startEpmd({
  otp,
  port,
}: {
  readonly otp?: OtpRelease | undefined;
  readonly port?: number | undefined;
} = {}): Promise<Epmd> {
  const { epmd } = requireOtp(otp);
  // someone else may take a free port before epmd does
  for (let attempt = 1; ; attempt++) {
    const chosen = port ?? (await freePort());
    const args = ["-address", "127.0.0.1", "-port", String(chosen)];
    const child = await OwnedProcess.start(`epmd on port ${chosen}`, epmd, args, {});
    if (await answers(child, chosen)) return running(child, chosen);
    if (port !== undefined || attempt === 5) {
      throw new Error(`epmd did not start on port ${chosen}. It printed:\n${child.output}`);
    }
  }
}

function running(child: OwnedProcess, port: number): Epmd {
  return {
    port,
    pid: child.pid,
    get output() {
      return child.output;
    },
    pause: () => child.pause(),
    resume: () => child.resume(),
    async stop() {
      await child.stop();
    },
    async kill() {
      await child.kill();
    },
  };
}

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return address.port;
}

// NAMES_REQ is answered with epmd's own port; a program that is not this epmd would say something else
async function answers(child: OwnedProcess, port: number): Promise<boolean> {
  for (const end = Date.now() + 30_000; child.running && Date.now() < end; await sleep(10)) {
    // on a taken port the first epmd has answered us, and the second one is about to give up
    if ((await namesPort(port)) === port && isListener(child.pid, port)) return true;
  }
  await child.kill();
  return false;
}

function namesPort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(Uint8Array.of(0, 1, 110)));
    socket.setTimeout(1000, () => socket.destroy());
    socket.once("data", (answer) => {
      resolve(answer.length >= 4 ? answer.readUInt32BE(0) : undefined);
      socket.destroy();
    });
    socket.on("error", () => {});
    socket.once("close", () => resolve(undefined));
  });
}

/** Whether this process has the socket that listens on the port, by Linux's /proc; elsewhere we cannot know. */
function isListener(pid: number, port: number): boolean {
  if (!existsSync("/proc/self/fd")) return true;
  try {
    const sockets = readFileSync(`/proc/${pid}/net/tcp`, "utf8")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local = "", , state]) => state === LISTEN && Number.parseInt(local.slice(-4), 16) === port)
      .map((fields) => `socket:[${fields[9]}]`);
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).some((name) => sockets.includes(readlinkSync(`${folder}/${name}`)));
  } catch {
    // it has ended, or closed one of its files meanwhile: the caller looks again
    return false;
  }
}
