import { accessSync, constants } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./epmd.ts";
import { OwnedProcess } from "./owned-process.ts";

/** A real moto server, which plays AWS, on loopback. */
export interface Moto {
  readonly url: string;
  readonly output: string;
  /** Ends it. Any number of times. */
  stop(): Promise<void>;
}

/** Starts moto and waits until it answers. @throws if it is not there, or with its output */
export async function startMoto(): Promise<Moto> {
  const program = requireMoto();
  // someone else may take a free port before moto does
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const child = await OwnedProcess.start(
      `moto on port ${port}`,
      program,
      ["-H", "127.0.0.1", "-p", `${port}`],
      {},
    );
    if (await answers(child, url)) return running(child, url);
    await child.kill();
    if (attempt === 3) throw new Error(`moto did not start at ${url}. It printed:\n${child.output}`);
  }
}

function requireMoto(): string {
  const folder = process.env["ISTHMUS_MOTO"] || join(homedir(), ".cache/isthmus/services/moto");
  const program = join(folder, "bin/moto_server");
  try {
    accessSync(program, constants.X_OK);
    return program;
  } catch {
    throw new Error(`There is no moto in ${folder}. Install it there, or set ISTHMUS_MOTO to its folder.`);
  }
}

function running(child: OwnedProcess, url: string): Moto {
  return {
    url,
    get output() {
      return child.output;
    },
    async stop() {
      await child.stop();
    },
  };
}

async function answers(child: OwnedProcess, url: string): Promise<boolean> {
  for (const end = Date.now() + 60_000; child.running && Date.now() < end; await sleep(50)) {
    const status = await fetch(`${url}/moto-api/data.json`).then(
      (answer) => answer.body?.cancel().then(() => answer.status),
      () => undefined,
    );
    if (status === 200) return true;
  }
  return false;
}
