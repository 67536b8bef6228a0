import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { OwnedProcess } from "./owned-process.ts";
import { type OtpRelease, requireOtp } from "./peers.ts";

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
  for (const end = Date.now() + 10_000; child.running && Date.now() < end; await sleep(10)) {
    if ((await namesPort(port)) !== port) continue;
    // a second epmd on a taken port gives up at once, and the first one would have answered us
    await sleep(20);
    return child.running;
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
