import { readFileSync } from "node:fs";
import { isIsthmusError } from "@isthmus/wire";
import { Command, CommanderError, Option } from "commander";
import { EXIT, exitStatus } from "./exit-status.ts";

/**
 * The command `isthmus`. Commands are loaded when they are used.
 * @returns the exit status; a command that runs until it is told to end resolves then
 */
export async function main(args: readonly string[]): Promise<number> {
  let status: number = EXIT.OK;
  const program = new Command("isthmus")
    .description("Links BEAM clusters that never mesh.")
    .version(version(), "-V, --version")
    .exitOverride()
    .showHelpAfterError("(isthmus --help shows how it is used)");
  program
    .command("run")
    .description("run the bridge that a configuration describes, until SIGTERM or SIGINT")
    .argument("<config>", "configuration file (YAML)")
    .addOption(
      new Option("--log-level <level>", "what to log").choices(["debug", "info", "warn", "error", "silent"]),
    )
    .addOption(
      new Option("--log-format <format>", "auto: readable on a terminal, JSON otherwise").choices([
        "auto",
        "json",
        "pretty",
      ]),
    )
    .action(async (config: string, options: { logLevel?: string; logFormat?: string }) => {
      status = await (await import("./commands/run.ts")).run(config, options);
    });
  program
    .command("check")
    .description("say what is wrong with a configuration, or what it would do")
    .argument("<config>", "configuration file (YAML)")
    .action(async (config: string) => {
      status = (await import("./commands/check.ts")).check(config);
    });
  program
    .command("names")
    .description("list the nodes that epmd knows")
    .argument("[host]", "host whose epmd is asked", "127.0.0.1")
    .option("--epmd-port <port>", "port of epmd (default: ERL_EPMD_PORT or 4369)")
    .action(async (host: string, options: { epmdPort?: string }) => {
      status = await (await import("./commands/names.ts")).names(host, options.epmdPort);
    });
  try {
    await program.parseAsync(args, { from: "user" });
    return status;
  } catch (error) {
    // commander has written what there is to say
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.OK : EXIT.USAGE;
    if (!isIsthmusError(error)) throw error;
    console.error(`isthmus: ${error.message}`);
    if (error.cause instanceof Error) console.error(`  because: ${error.cause.message}`);
    return exitStatus(error.code);
  }
}

function version(): string {
  const manifest = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(manifest, "utf8")) as { version: string }).version;
}
