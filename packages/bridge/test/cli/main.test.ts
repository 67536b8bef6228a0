import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { isthmus } from "./support/isthmus.ts";

describe("the command", () => {
  it("prints its version and nothing else", async () => {
    const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
    for (const flag of ["--version", "-V"]) {
      expect(await isthmus([flag])).toEqual({ status: 0, stdout: `${manifest.version}\n`, stderr: "" });
    }
  });

  it("explains itself", async () => {
    const { status, stdout, stderr } = await isthmus(["--help"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    for (const word of [
      "run",
      "check",
      "status",
      "names",
      "Examples:",
      "ERL_EPMD_PORT",
      "NO_COLOR",
      "Exit status:",
    ]) {
      expect(stdout).toContain(word);
    }
    expect((await isthmus(["help", "run"])).stdout).toContain("--log-level");
    expect((await isthmus(["run", "--help"])).stdout).toContain("--log-format");
  });

  it.each([
    [[], "Usage: isthmus"],
    [["rnu"], "Did you mean run?"],
    [["check"], "missing required argument 'config'"],
    [["check", "a", "b"], "too many arguments"],
    [["check", "--fast", "a"], "unknown option '--fast'"],
    [["run", "a", "--log-level", "loud"], "Allowed choices are debug, info, warn, error, silent"],
    [["run", "a", "--log-format", "xml"], "Allowed choices are auto, json, pretty"],
    [["status", "a"], "too many arguments"],
    [["status", "--url", "localhost:4390"], "It must be an address, http://host:port."],
    [["names", "--epmd-port", "0"], "It must be a port, 1 to 65535."],
    [["names", "--epmd-port", "4369x"], "It must be a port, 1 to 65535."],
  ])("ends with status 2 when it is called like this: %j", async (args, said) => {
    const { status, stdout, stderr } = await isthmus(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(said);
  });

  it.each(["run", "check"])("%s ends with status 3 without a configuration", async (command) => {
    const { status, stdout, stderr } = await isthmus([command, "no-such-file.yaml"]);
    expect({ status, stdout }).toEqual({ status: 3, stdout: "" });
    expect(stderr).toMatch(
      /^isthmus: The configuration no-such-file\.yaml cannot be read: there is no such file\. \(CONFIG_UNREADABLE\)\n$/,
    );
  });

  it("says so when it is not compiled", () => {
    const folder = mkdtempSync(join(tmpdir(), "isthmus-bin-"));
    try {
      const bin = fileURLToPath(new URL("../../bin", import.meta.url));
      cpSync(bin, join(folder, "bin"), { recursive: true });
      cpSync(new URL("../../package.json", import.meta.url), join(folder, "package.json"));
      const { status, stderr } = spawnSync(process.execPath, [join(folder, "bin", "isthmus.js")], {
        encoding: "utf8",
      });
      expect(status).toBe(1);
      expect(stderr).toMatch(/^isthmus: it is not compiled yet\. Run `npm start` or `pnpm build`/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
