import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import { OwnedProcess } from "../support/owned-process.ts";
import { until } from "./cell.ts";
import { type Certificates, makeCertificates } from "./certificates.ts";

// The examples as a user runs them: with the built packages, each a process of its own.
const folder = fileURLToPath(new URL("../../examples/node/", import.meta.url));

describe("examples/node", () => {
  let epmd: Epmd;
  let beam: Beam;
  beforeAll(async () => {
    epmd = await startEpmd();
    beam = await startBeam({ name: "shop1@127.0.0.1", cookie: "biscuit", epmdPort: epmd.port });
  });
  afterAll(async () => {
    await beam?.stop();
    await epmd?.stop();
  });

  const run = (name: string, args: string[], env: Record<string, string> = {}): Promise<OwnedProcess> =>
    OwnedProcess.start(name, process.execPath, [`${folder}${name}`, ...args], {
      COOKIE: "biscuit",
      ERL_EPMD_PORT: String(epmd.port),
      ...env,
    });

  it("call-genserver.mjs", async () => {
    await beam.eval("isthmus_probe:orders(orders)");
    const child = await run("call-genserver.mjs", [beam.node]);
    expect((await child.exited).code, child.output).toBe(0);
    expect(child.output.split("\n")).toMatchObject([
      "add: 42",
      expect.stringMatching(/^echo: \{order, .*1180591620717411303424.*2\.5\]\}$/),
      "notes: [from_javascript]",
      expect.stringMatching(/^NO_PROCESS: /),
      expect.stringMatching(/^CALL_EXIT: .*out_of_paper/),
      "",
    ]);
  });

  it("serve-genserver.mjs", async () => {
    const child = await run("serve-genserver.mjs", ["js@127.0.0.1"]);
    await until(() => child.output.includes("serves counter"));
    const call = (request: string) => beam.eval(`gen_server:call({counter, 'js@127.0.0.1'}, ${request})`);
    expect(await call("{add, 5}")).toBe("5");
    expect(await call("{add, 6}")).toBe("11");
    expect(await call("get_later")).toBe("11");
    expect(await call("get")).toBe("11");
    expect(await beam.eval("rpc:call('js@127.0.0.1', counter, double, [21])")).toBe("42");
    expect(await beam.eval("{counter, 'js@127.0.0.1'} ! {hello, world}, ok")).toBe("ok");
    await until(() => child.output.includes("got {hello, world}"));
    expect(await beam.eval("gen_server:cast({counter, 'js@127.0.0.1'}, stop)")).toBe("ok");
    expect((await child.exited).code, child.output).toBe(0);
    expect(child.output).toContain("up shop1@127.0.0.1");
    expect(child.output).toContain("ended: normal");
  });

  it("serve-genserver.mjs: a bad request ends the server, and the caller knows why", async () => {
    const child = await run("serve-genserver.mjs", ["js2@127.0.0.1"]);
    await until(() => child.output.includes("serves counter"));
    expect(
      await beam.eval("try gen_server:call({counter, 'js2@127.0.0.1'}, nonsense) catch exit:{R, _} -> R end"),
    ).toBe("bad_request");
    expect((await child.exited).code, child.output).toBe(0);
    expect(child.output).toContain("ended: bad_request");
  });

  it("remote-monitor.mjs", async () => {
    const name = "mortal@127.0.0.1";
    const start = (): Promise<Beam> => startBeam({ name, cookie: "biscuit", epmdPort: epmd.port });
    const mortal = await start();
    await mortal.eval("isthmus_probe:orders(watched)");
    const child = await run("remote-monitor.mjs", [name, "watched"]);
    const times = (text: string): number => child.output.split(text).length - 1;
    await until(() => times("watched is there") === 1);
    await mortal.eval("gen_server:cast(watched, {stop, out_of_paper})");
    await until(() => times("watched has ended: out_of_paper") === 1);
    await mortal.eval("isthmus_probe:orders(watched)");
    await until(() => times("watched is there") === 2);
    await mortal.kill();
    await until(() => times("watched has ended: noconnection") === 1);
    const next = await start();
    await next.eval("isthmus_probe:orders(watched)");
    await until(() => times("watched is there") === 3);
    child.signal("SIGINT");
    expect((await child.exited).code, child.output).toBe(0);
    await next.stop();
  });

  describe("over TLS", () => {
    let certificates: Certificates;
    beforeAll(() => {
      certificates = makeCertificates();
    });
    afterAll(() => certificates.remove());

    it("tls.mjs", async () => {
      const secure = await startBeam({
        name: "secure@127.0.0.1",
        cookie: "biscuit",
        epmdPort: epmd.port,
        args: certificates.erl,
      });
      await secure.eval("isthmus_probe:orders(orders)");
      const child = await run("tls.mjs", [secure.node], { CERTS: certificates.folder });
      expect((await child.exited).code, child.output).toBe(0);
      expect(child.output).toBe("add: 42\nthey got: hello\n");
      await secure.stop();
    });
  });
});
