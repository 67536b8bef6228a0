import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listNames } from "@isthmus/epmd-client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { freePorts, type Running, start } from "./support/isthmus.ts";

let folder: string;
let running: Running[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "isthmus-run-"));
  running = [];
});
afterEach(async () => {
  for (const { child, ended } of running) {
    if (child.exitCode === null) child.kill("SIGKILL");
    await ended;
  }
  rmSync(folder, { recursive: true, force: true });
});

/** Starts a bridge with an epmd of its own in each cluster, without any peers. */
async function run(args: readonly string[] = [], listen = 0) {
  const ports = await freePorts(2);
  const file = join(folder, "isthmus.yaml");
  writeFileSync(
    file,
    ports
      .map((port, i) => {
        const epmd = `{ port: ${port}, embedded: always }`;
        const at = `{ host: 127.0.0.1, port: ${i === 0 ? listen : 0} }`;
        return `  c${i}: { node: bridge@127.0.0.1, cookie: s3cret, epmd: ${epmd}, listen: ${at} }\n`;
      })
      .reduce((text, cluster) => text + cluster, "clusters:\n"),
  );
  const command = start(["run", file, ...args]);
  running.push(command);
  return { ...command, ports };
}

const entries = (stdout: string) =>
  stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe("isthmus run", () => {
  it("runs until SIGTERM, and takes its leave", async () => {
    const { child, printed, ended, ports } = await run();
    await printed("isthmus is up");
    for (const port of ports) {
      expect((await listNames({ port })).nodes.map(({ name }) => name)).toEqual(["bridge"]);
    }
    child.kill("SIGTERM");
    const { status, stdout, stderr } = await ended;
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const log = entries(stdout);
    expect(log.map(({ msg }) => msg)).toContain("told to end");
    expect(log.at(-1)).toMatchObject({ msg: "isthmus has ended", level: "info" });
    expect(stdout).not.toContain("s3cret");
    for (const port of ports)
      await expect(listNames({ port })).rejects.toMatchObject({ code: "EPMD_UNREACHABLE" });
  });

  it("ends on SIGINT too; a second signal ends it at once, with status 1", async () => {
    const { child, printed, ended } = await run();
    await printed("isthmus is up");
    // both are there when it goes on: it is soon done with the first
    for (const signal of ["SIGSTOP", "SIGINT", "SIGTERM", "SIGCONT"] as const) child.kill(signal);
    const { status, stdout } = await ended;
    expect(entries(stdout).at(-1)).toMatchObject({
      level: "warn",
      msg: "told a second time to end: ending at once",
    });
    expect(status).toBe(1);
  });

  it("logs as the command line says", async () => {
    const { child, printed, ended } = await run(["--log-format", "pretty", "--log-level", "debug"]);
    await printed("isthmus is up");
    child.kill("SIGTERM");
    const { stdout } = await ended;
    expect(stdout).toMatch(/^\d\d:\d\d:\d\d\.\d{3} (debug|info ) .*\n/);
    expect(stdout).toMatch(/\d\d:\d\d:\d\d\.\d{3} info {2}isthmus is up clusters=2 routes=0\n/);
    expect(stdout).not.toContain("\u001b");
  });

  it("ends with status 1 when it cannot start, and leaves nothing running", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const taken = (server.address() as { port: number }).port;
    try {
      const { ended } = await run([], taken);
      const { status, stderr } = await ended;
      expect(status).toBe(1);
      expect(stderr).toContain("(LISTEN_FAILED)");
      expect(stderr).toContain(String(taken));
    } finally {
      server.close();
    }
  });
});
