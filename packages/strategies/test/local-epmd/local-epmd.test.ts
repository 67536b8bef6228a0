import { register, startEpmdServer } from "@isthmus/epmd-client";
import { localEpmd } from "@isthmus/strategies/local-epmd";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { strategyCompliance } from "../compliance.ts";
import { runStrategy } from "../support/run-strategy.ts";

async function epmdWith(...names: string[]) {
  const server = await startEpmdServer({ port: 0 });
  const epmd = { host: "127.0.0.1", port: server.port };
  const add = (name: string) => register({ name, port: 5000, keep: false, epmd });
  const registrations = await Promise.all(names.map(add));
  const close = async (): Promise<void> => {
    for (const registration of registrations) await registration.close();
    await server.close();
  };
  return { port: server.port, add, registrations, close };
}

async function epmdOfTest(...names: string[]) {
  const epmd = await epmdWith(...names);
  onTestFinished(epmd.close);
  return epmd;
}

describe("the strategy local-epmd", () => {
  it("gives every name the host of our own, or the one that is told", async () => {
    const epmd = await epmdOfTest("shop1", "js", "zażółć");
    const run = runStrategy(localEpmd({ epmdPort: epmd.port }), { self: "js@db.example" });
    await expect.poll(run.nodes).toEqual(["js@db.example", "shop1@db.example", "zażółć@db.example"]);
    const other = runStrategy(localEpmd({ epmdPort: epmd.port, host: "10.0.0.1", names: ["s*"] }));
    await expect.poll(other.nodes).toEqual(["shop1@10.0.0.1"]);
  });

  it("finds ERL_EPMD_PORT, asks again and again, and leaves out what cannot be a name", async () => {
    const epmd = await epmdOfTest("shop1", "a b");
    vi.stubEnv("ERL_EPMD_PORT", String(epmd.port));
    onTestFinished(() => void vi.unstubAllEnvs());
    const clock = new FakeClock();
    const run = runStrategy(localEpmd({}), { clock });
    await expect.poll(run.nodes).toEqual(["shop1@127.0.0.1"]);
    const late = await epmd.add("shop2");
    await epmd.registrations[0]!.close();
    clock.advance(5500);
    await expect.poll(run.nodes).toEqual(["shop2@127.0.0.1"]);
    await late.close();
    clock.advance(5500);
    await expect.poll(run.nodes).toEqual([]);
  });
});

strategyCompliance("local-epmd", {
  async source() {
    const epmd = await epmdWith("shop1", "shop2");
    return {
      nodes: ["shop1@127.0.0.1", "shop2@127.0.0.1"],
      make: () => localEpmd({ epmdPort: epmd.port }),
      fail: epmd.close,
      close: epmd.close,
    };
  },
  badOptions: {
    "port 65536": () => localEpmd({ epmdPort: 65_536 }),
    "an empty host": () => localEpmd({ epmdHost: "" }),
    "an unknown option": () => localEpmd.from({ hosts: [] }),
  },
});
