import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type CustomStrategyOptions, custom } from "@isthmus/strategies/custom";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { strategyCompliance } from "../compliance.ts";
import { runStrategy } from "../support/run-strategy.ts";

let folder: string;
let files = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "isthmus-custom-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A new file with this content. */
async function file(content: string, ending = ".txt"): Promise<string> {
  const path = join(folder, `${++files}${ending}`);
  await writeFile(path, content);
  return path;
}

function run(options: CustomStrategyOptions) {
  const clock = new FakeClock();
  return { clock, ...runStrategy(custom(options), { clock }) };
}

async function serve(listener: RequestListener): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}/nodes`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const failure = (message: RegExp, code = "DISCOVERY_FAILED") => ({
  code,
  message: expect.stringMatching(message),
});

describe("a function", () => {
  it("is called in each round", async () => {
    let names: readonly string[] = ["a@h"];
    const { nodes, clock, failure: failed } = run({ discover: () => names });
    await expect.poll(nodes).toEqual(["a@h"]);
    names = ["b@h", "b@h"];
    clock.advance(5500);
    await expect.poll(nodes).toEqual(["b@h"]);
    names = ["nonsense"];
    clock.advance(5500);
    await expect.poll(failed).toMatchObject(failure(/^The function discover cannot be used/));
    expect(nodes()).toEqual(["b@h"]);
  });

  it("may fail, and may take too long", async () => {
    const broken = run({
      discover: () => {
        throw new Error("no inventory");
      },
    });
    await expect.poll(broken.failure).toMatchObject({ code: "DISCOVERY_FAILED" });
    const slow = run({ discover: () => new Promise(() => undefined), timeout: 700 });
    slow.clock.advance(700);
    await expect.poll(slow.failure).toMatchObject(failure(/within 700 ms/));
  });
});

describe("a module", () => {
  it("gives names by a function", async () => {
    const text =
      "export default async ({ options, self, signal }) => [options.node, self, 'x@' + signal.aborted];";
    const path = await file(text, ".mjs");
    const { nodes } = run({ module: path, options: { node: "a@h" } });
    await expect.poll(nodes).toEqual(["a@h", "me@127.0.0.1", "x@false"]);
    const byUrl = run({ module: pathToFileURL(path).href, options: { node: "b" }, nodeBasename: "app" });
    await expect.poll(byUrl.nodes).toEqual(["app@b", "me@127.0.0.1", "x@false"]);
  });

  it("may be a strategy, or what makes one of the options", async () => {
    const strategy = (nodes: string) =>
      `({ start: (context) => context.report({ ok: true, nodes: ${nodes} }), stop: async () => {} })`;
    const ready = await file(`export default ${strategy('["a@h"]')};`, ".mjs");
    await expect.poll(run({ module: ready }).nodes).toEqual(["a@h"]);
    const factory = `const from = (options) => ${strategy("[options.node]")};
      export default Object.assign(from, { from, strategyName: "mine", aliases: [] });`;
    const made = run({ module: await file(factory, ".mjs"), options: { node: "b@h" } });
    await expect.poll(made.nodes).toEqual(["b@h"]);
  });

  it.each([
    ["nothing", "export const discover = () => [];", /neither a strategy nor a function/],
    ["text", "export default 'a@h';", /neither a strategy nor a function/],
  ])("that exports %s by default is an error", async (_, text, message) => {
    const { started } = run({ module: await file(text, ".mjs") });
    await expect(started).rejects.toMatchObject(failure(message));
  });

  it("that throws, or is not there, is an error", async () => {
    const broken = run({ module: await file("throw new Error('broken');", ".mjs") });
    await expect(broken.started).rejects.toMatchObject(
      failure(/cannot be loaded: Error: broken/, "STRATEGY_FAILED"),
    );
    const missing = run({ module: join(folder, "missing.mjs") });
    await expect(missing.started).rejects.toMatchObject(failure(/cannot be loaded/, "STRATEGY_FAILED"));
  });

  it("is not started when it was loaded too late", async () => {
    const text = "export default { start() { globalThis.isthmusStarted = true; }, async stop() {} };";
    const { strategy, started } = run({ module: await file(text, ".mjs") });
    await strategy.stop();
    await started;
    expect(globalThis).not.toHaveProperty("isthmusStarted");
  });
});

describe("a command", () => {
  const node = (script: string): string[] => [process.execPath, "-e", script];

  it("is run without a shell", async () => {
    const { nodes } = run({ command: ["printf", "%s\n", "a@h;echo", "$HOME@h", "*@h"] });
    await expect.poll(nodes).toEqual(["$HOME@h", "*@h", "a@h;echo"]);
    await expect.poll(run({ command: ["echo", '["b@h"]'] }).nodes).toEqual(["b@h"]);
  });

  it("is run with a shell when that is wanted", async () => {
    const { nodes } = run({ command: ["for n in 1 2; do echo app$n@h; done"], shell: true });
    await expect.poll(nodes).toEqual(["app1@h", "app2@h"]);
  });

  it.each<[string, string[], RegExp]>([
    ["is not there", ["/nowhere/isthmus"], /\/nowhere\/isthmus cannot be started \(ENOENT\)/],
    [
      "ends with another status",
      node("console.error('no access'); process.exit(3)"),
      /status 3. It said: no access/,
    ],
    ["is killed", node("process.kill(process.pid, 'SIGKILL')"), /ended with SIGKILL/],
    ["prints no names", ["echo", "usage: echo"], /not a node name/],
  ])("that %s has failed", async (_, command, message) => {
    await expect.poll(run({ command }).failure).toMatchObject(failure(message));
  });

  it("that prints too much is killed", async () => {
    const { failure: failed } = run({ command: ["yes", "a@h"], maxBytes: 10_000 });
    await expect.poll(failed).toMatchObject(failure(/yes printed more than 10000 bytes/));
  });

  it("that takes too long is killed, with what it started", async () => {
    const script = await file("sleep 1000 & echo $$ $! >$1; wait", ".sh");
    const pids = `${script}.pids`;
    const slow = run({ command: ["sh", script, pids], timeout: 3000 });
    const started = async (): Promise<number[]> => {
      return (await readFile(pids, "utf8").catch(() => "")).trim().split(" ").filter(Boolean).map(Number);
    };
    await expect.poll(started).toHaveLength(2);
    slow.clock.advance(3000);
    await expect.poll(slow.failure).toMatchObject(failure(/within 3000 ms/));
    const alive = async () => {
      const states = (await started()).map((pid) =>
        readFile(`/proc/${pid}/stat`, "utf8").catch(() => "gone Z"),
      );
      // who is killed may wait for its parent to notice
      return (await Promise.all(states)).filter((stat) => !/ Z/.test(stat)).length;
    };
    await expect.poll(alive).toBe(0);
  });
});

describe("a file", () => {
  it("is read in each round", async () => {
    const path = await file("a@h\n");
    const { nodes, clock, failure: failed } = run({ file: path });
    await expect.poll(nodes).toEqual(["a@h"]);
    await writeFile(path, '["b@h"]');
    clock.advance(5500);
    await expect.poll(nodes).toEqual(["b@h"]);
    await rm(path);
    clock.advance(5500);
    await expect.poll(failed).toMatchObject(failure(/does not exist/));
    expect(nodes()).toEqual(["b@h"]);
  });
});

describe("a URL", () => {
  it("is asked with the header fields", async () => {
    let asked: Record<string, unknown> = {};
    const server = await serve((request, response) => {
      asked = request.headers;
      response.end('[\n"a@h",\n"b@h"]');
    });
    onTestFinished(server.close);
    const { nodes } = run({ url: `${server.url}?token=t0ken`, headers: { authorization: "Bearer t0ken" } });
    await expect.poll(nodes).toEqual(["a@h", "b@h"]);
    expect(asked).toMatchObject({ authorization: "Bearer t0ken" });
  });

  it.each<[string, RequestListener, Record<string, unknown>]>([
    ["another status", (_, response) => void response.writeHead(503).end(), { code: "HTTP_STATUS" }],
    [
      "a web page",
      (_, response) => void response.end("<html>"),
      failure(/^The answer of http.*not a node name/),
    ],
    ["too much", (_, response) => void response.end("a@h\n".repeat(100)), failure(/longer than 100 bytes/)],
    [
      "one long line",
      (_, response) => void response.end("a".repeat(200)),
      failure(/more than 100 bytes/, "HTTP_FAILED"),
    ],
  ])("that answers with %s has failed", async (_, listener, expected) => {
    const server = await serve(listener);
    onTestFinished(server.close);
    const { failure: failed } = run({ url: `${server.url}?token=t0ken`, maxBytes: 100 });
    await expect.poll(failed).toMatchObject(expected);
    expect(failed()!.message).not.toContain("t0ken");
  });

  it("needs the file with the certificates that it names", async () => {
    const { failure: failed } = run({ url: "https://127.0.0.1:1/", caFile: join(folder, "missing.pem") });
    await expect.poll(failed).toMatchObject(failure(/missing.pem does not exist/));
  });
});

strategyCompliance("custom with a URL", {
  async source() {
    let status = 200;
    const server = await serve((_, response) => void response.writeHead(status).end("a@h\nb@h\n"));
    return {
      nodes: ["a@h", "b@h"],
      make: () => custom({ url: `${server.url}?key=hunter2`, headers: { "x-token": "hunter2" } }),
      fail: () => {
        status = 500;
      },
      close: server.close,
    };
  },
  secrets: ["hunter2"],
  badOptions: {
    "no source": () => custom({}),
    "two sources": () => custom({ file: "a", url: "http://h/" }),
    "a URL of another kind": () => custom({ url: "ftp://h/" }),
    "a URL with a password": () => custom({ url: "http://me:hunter2@h/" }),
    "a URL that is none": () => custom({ url: "hunter2" }),
    "header fields that are no text": () =>
      custom.from({ url: "http://h/", headers: { token: ["hunter2"] } }),
    "a command without a program": () => custom({ command: [] }),
    "a command of two texts for a shell": () => custom({ command: ["a", "hunter2"], shell: true }),
    "a command that is no text": () => custom.from({ command: [{ token: "hunter2" }] }),
    "a function as text": () => custom.from({ discover: "() => []" }),
    "options that are a list": () => custom.from({ module: "m.mjs", options: ["a"] }),
  },
});

strategyCompliance("custom with a command", {
  async source() {
    const path = await file("a@h\n");
    return { nodes: ["a@h"], make: () => custom({ command: ["cat", path] }), fail: () => rm(path) };
  },
});

strategyCompliance("custom with a file", {
  async source() {
    const path = await file("a@h\n");
    return { nodes: ["a@h"], make: () => custom({ file: path }), fail: () => rm(path) };
  },
});

strategyCompliance("custom with a module", {
  async source() {
    const path = await file("export default () => ['a@h'];", ".mjs");
    return { nodes: ["a@h"], make: () => custom({ module: path }) };
  },
});
