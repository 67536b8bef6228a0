import { dirname, join } from "node:path";
import { type HiddenNode, startNode } from "@isthmus/core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import { OwnedProcess } from "../support/owned-process.ts";
import { eachOtp } from "../support/peers.ts";

// erl_call is a C node: erl_interface is the other implementation of the protocol that OTP has.
eachOtp("erl_call", (otp) => {
  let epmd: Epmd;
  let node: HiddenNode;
  const events: string[] = [];

  beforeAll(async () => {
    epmd = await startEpmd({ otp: otp.otp });
    node = await startNode({
      name: "js@127.0.0.1",
      cookie: "biscuit",
      listen: { host: "127.0.0.1" },
      epmd: { host: "127.0.0.1", port: epmd.port },
    });
    node.processes.expose({
      "math:add/2": (a, b) => Number(a) + Number(b),
      "lists:duplicate/2": (count, term) => Array<typeof term>(Number(count)).fill(term) as never,
      "erlang:later/0": async () => "a p",
    });
    node.onNodeEvent(({ type, node: name, hidden }) => {
      if (/@/.test(name) && hidden) events.push(type);
    });
  });
  afterAll(async () => {
    await node?.close();
    await epmd?.stop();
  });

  async function erlCall(...args: string[]): Promise<{ output: string; code: number | null }> {
    const program = join(dirname(otp.erl), "erl_call");
    const child = await OwnedProcess.start("erl_call", program, ["-name", node.name, ...args], {
      ERL_EPMD_PORT: String(epmd.port),
    });
    const { code } = await child.exited;
    return { output: child.output, code };
  }
  const cookie = ["-c", "biscuit"];

  it("calls functions that we expose", async () => {
    expect(await erlCall(...cookie, "-a", "math add [1,2]")).toEqual({ output: "3", code: 0 });
    expect((await erlCall(...cookie, "-a", 'lists duplicate [2,{a,"b"}]')).output).toBe(
      '[{a, "b"}, {a, "b"}]',
    );
    expect((await erlCall(...cookie, "-a", "erlang later")).output).toBe("#Bin<97,32,112>");
    expect(events.slice(0, 2)).toEqual(["up", "down"]);
  });

  it("and no others: it can neither run commands nor end us", async () => {
    expect((await erlCall(...cookie, "-a", 'os cmd ["id"]')).output).toContain("{badrpc, {'EXIT', {undef,");
    await erlCall(...cookie, "-q");
    expect((await erlCall(...cookie, "-a", "math add [20,22]")).output).toBe("42");
  });

  it("does not get in with another cookie", async () => {
    const { output, code } = await erlCall("-c", "wrong", "-a", "math add [1,2]");
    expect(code).not.toBe(0);
    expect(output).not.toContain("3");
  });
});
