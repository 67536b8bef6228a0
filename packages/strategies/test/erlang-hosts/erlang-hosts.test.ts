import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { register, startEpmdServer } from "@isthmus/epmd-client";
import { erlangHosts } from "@isthmus/strategies/erlang-hosts";
import { describe, expect, it, onTestFinished } from "vitest";
import { hostsFilePaths, readFirst } from "../../src/erlang-hosts/search-path.ts";
import { strategyCompliance } from "../compliance.ts";
import { runStrategy } from "../support/run-strategy.ts";

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "isthmus-hosts-"));
  onTestFinished(() => rm(path, { recursive: true }));
  return path;
}

describe("where .hosts.erlang is looked for", () => {
  it("is the working directory, the home, and the root of Erlang", () => {
    expect(hostsFilePaths({ HOME: "/home/me", OTP_ROOT: "/opt/otp" })).toEqual([
      join(process.cwd(), ".hosts.erlang"),
      "/home/me/.hosts.erlang",
      "/opt/otp/.hosts.erlang",
    ]);
    expect(hostsFilePaths({ HOME: "/home/me" })[2]).toBe("/usr/lib/erlang/.hosts.erlang");
  });

  it("the first one counts", async () => {
    const path = await folder();
    const [one, two, three] = ["one", "two", "three"].map((name) => join(path, name));
    await writeFile(two!, "h2.\n");
    await writeFile(three!, "h3.\n");
    expect(await readFirst([join(one!, "below"), one!, two!, three!])).toEqual({ path: two, text: "h2.\n" });
    await expect(readFirst([one!])).rejects.toMatchObject({
      code: "DISCOVERY_FAILED",
      message: expect.stringContaining(one!),
    });
  });

  it("one that cannot be read is an error, as it is for Erlang", async () => {
    const path = await folder();
    const long = join(path, "long");
    await writeFile(long, "%".repeat(1024 * 1024 + 1));
    const binary = join(path, "binary");
    await writeFile(binary, Buffer.from([0xff, 0xfe]));
    for (const [file, why] of [
      [path, /EISDIR/],
      [long, /longer than/],
      [binary, /not UTF-8/],
    ] as const)
      await expect(readFirst([file])).rejects.toMatchObject({
        code: "DISCOVERY_FAILED",
        message: expect.stringMatching(why),
      });
  });
});

describe("the strategy erlang-hosts", () => {
  it("tells the line of a file that makes no sense", async () => {
    const file = join(await folder(), "hosts");
    await writeFile(file, "db1.\ndb-2.\n");
    const run = runStrategy(erlangHosts({ file }));
    await expect.poll(run.failure).toMatchObject({
      code: "DISCOVERY_FAILED",
      message: expect.stringContaining(`${file}, line 2: `),
    });
  });

  it("takes libcluster's timeout for the interval", () => {
    for (const timeout of [30_000, "30000", "infinity", ":infinity", Number.POSITIVE_INFINITY])
      expect(erlangHosts.from({ timeout })).toBeDefined();
  });
});

strategyCompliance("erlang-hosts", {
  async source() {
    const server = await startEpmdServer({ port: 0 });
    const registrations = await Promise.all(
      ["shop1", "shop2", "other"].map((name) =>
        register({ name, port: 5000, keep: false, epmd: { host: "127.0.0.1", port: server.port } }),
      ),
    );
    const path = await mkdtemp(join(tmpdir(), "isthmus-hosts-"));
    const file = join(path, "hosts");
    await writeFile(file, "'127.0.0.1'.\n");
    return {
      nodes: ["shop1@127.0.0.1", "shop2@127.0.0.1"],
      make: () => erlangHosts({ file, epmdPort: server.port, names: ["shop*"] }),
      fail: () => server.close(),
      async close() {
        for (const registration of registrations) await registration.close();
        await server.close();
        await rm(path, { recursive: true });
      },
    };
  },
  badOptions: {
    "a file that is empty": () => erlangHosts({ file: "" }),
    "port 0": () => erlangHosts({ epmdPort: 0 }),
    "an interval that is no time": () => erlangHosts.from({ timeout: "soon" }),
    "a pattern that is none": () => erlangHosts.from({ names: [""] }),
    "an unknown option": () => erlangHosts.from({ hosts: ["h1"] }),
  },
});
