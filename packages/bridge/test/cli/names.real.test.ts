import { register, startEpmdServer } from "@isthmus/epmd-client";
import { describe, expect, it } from "vitest";
import { startEpmd } from "../../../../test/support/epmd.ts";
import { freePorts, isthmus } from "./support/isthmus.ts";

describe("isthmus names", () => {
  it("lists what a real epmd knows", async () => {
    const epmd = await startEpmd();
    try {
      const at = ["names", "127.0.0.1", "--epmd-port", String(epmd.port)];
      expect(await isthmus(at)).toEqual({
        status: 0,
        stdout: "",
        stderr: `epmd at 127.0.0.1:${epmd.port} knows no node.\n`,
      });
      await using _shop = await register({ name: "shop1", port: 40_001, epmd: { port: epmd.port } });
      await using _other = await register({ name: "other", port: 40_002, epmd: { port: epmd.port } });
      const expected = "other at port 40002\nshop1 at port 40001\n";
      const { status, stdout, stderr } = await isthmus(at);
      expect({ status, stdout: lines(stdout), stderr }).toEqual({
        status: 0,
        stdout: lines(expected),
        stderr: "",
      });
      const { stdout: again } = await isthmus(["names"], { ERL_EPMD_PORT: String(epmd.port) });
      expect(lines(again)).toEqual(lines(expected));
    } finally {
      await epmd.stop();
    }
  });

  it("lets no name steer the terminal", async () => {
    await using epmd = await startEpmdServer({ port: 0 });
    await using _node = await register({ name: "a\u001b[2Jb", port: 40_001, epmd: { port: epmd.port } });
    const { stdout } = await isthmus(["names", "--epmd-port", String(epmd.port)]);
    expect(stdout).toBe("a\\u001b[2Jb at port 40001\n");
  });

  it("ends with status 1 when no epmd answers", async () => {
    const [port] = await freePorts(1);
    const { status, stdout, stderr } = await isthmus(["names", "--epmd-port", String(port)]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(/^isthmus: No connection to epmd at 127\.0\.0\.1:\d+ .* \(EPMD_UNREACHABLE\)\n/);
  });

  it("ends with status 1 when the environment is wrong", async () => {
    const { status, stderr } = await isthmus(["names"], { ERL_EPMD_PORT: "none" });
    expect(status).toBe(1);
    expect(stderr).toContain("EPMD_ENVIRONMENT_INVALID");
  });
});

function lines(text: string): string[] {
  return text.trim().split("\n").sort();
}
