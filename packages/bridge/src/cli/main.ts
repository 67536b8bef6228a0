import { type IsthmusError, isIsthmusError } from "@isthmus/wire";
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { version } from "../version.ts";
import type { CheckOptions } from "./commands/check.ts";
import type { ConvertOptions } from "./commands/convert.ts";
import type { FormOptions } from "./commands/form.ts";
import type { StatusOptions } from "./commands/status.ts";
import { EXIT, exitStatus } from "./exit-status.ts";
import type { LogChoice } from "./service-logger.ts";

const EXAMPLES = `
Examples:
  isthmus check isthmus.yaml     what is wrong with it, line by line, or what it would do
  isthmus check isthmus.yaml --explain "shop -> billing call orders"
                                 which rule of the policy decides about that, and why
  isthmus run isthmus.yaml       link the clusters until SIGTERM
  isthmus status                 how the running bridge stands
  isthmus names 10.0.0.11        the nodes that the epmd of a host knows
  isthmus form form.yaml         keep the BEAM node beside this connected to what is discovered
  isthmus convert config.exs     the same configuration as libcluster's, for form

Environment:
  ERL_EPMD_PORT                  port of epmd where nothing else is said (4369)
  NO_COLOR                       no colours on a terminal

Exit status:
  0 done, 1 failed, 2 wrong command line, 3 wrong configuration`;

/**
 * The command `isthmus`. What a command needs is loaded when it is used.
 * @param args what follows the command's name
 * @returns the exit status; a command that runs until it is told to end resolves then
 */
export async function main(args: readonly string[]): Promise<number> {
  let status: number = EXIT.OK;
  const config = new Argument("<config>", "configuration file (YAML)");
  const program = new Command("isthmus")
    .description("Links BEAM clusters that never mesh.")
    .version(version(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this")
    .exitOverride()
    .showHelpAfterError("(isthmus --help shows how it is used)")
    .addHelpText("after", EXAMPLES);
  program
    .command("run")
    .description("run the bridge that a configuration describes, until SIGTERM or SIGINT")
    .addArgument(config)
    .addOption(logLevel())
    .addOption(logFormat())
    .action(async (file: string, options: LogChoice) => {
      const { run } = await import("./commands/run.ts");
      status = await run(file, options);
    });
  program
    .command("check")
    .description("say what is wrong with a configuration, or what it would do")
    .addArgument(config)
    .option("--explain <question>", 'which rule decides, such as "shop -> billing call orders"')
    .action(async (file: string, options: CheckOptions) => {
      const { check } = await import("./commands/check.ts");
      status = await check(file, options);
    });
  program
    .command("status")
    .description("say how a running bridge stands; its configuration must have admin")
    .option("--url <url>", "address of its administration", url, "http://127.0.0.1:4390")
    .option("--json", "as JSON")
    .action(async (options: StatusOptions) => {
      const { showStatus } = await import("./commands/status.ts");
      status = await showStatus(options);
    });
  program
    .command("names")
    .description("list the nodes that epmd knows")
    .argument("[host]", "host whose epmd is asked", "127.0.0.1")
    .option("--epmd-port <port>", "port of epmd (default: ERL_EPMD_PORT, or 4369)", port)
    .action(async (host: string, options: { epmdPort?: number }) => {
      const { names } = await import("./commands/names.ts");
      status = await names(host, options.epmdPort);
    });
  program
    .command("form")
    .description(
      "have the BEAM node beside this connect to the nodes that are discovered, until SIGTERM or SIGINT",
    )
    .argument("[config]", "configuration file (YAML)", "isthmus.yaml")
    .option("--dry-run", "say what it would do, and do nothing")
    .option("--once", "end when all is connected, or with status 1 when it is not in time")
    .option("--timeout <seconds>", "for --dry-run and --once (default: 30)", seconds)
    .addOption(logLevel())
    .addOption(logFormat())
    .action(async (file: string, options: FormOptions) => {
      const { form } = await import("./commands/form.ts");
      status = await form(file, options);
    });
  program
    .command("convert")
    .description("convert a configuration of libcluster or skycluster into one for form")
    .argument("<config.exs>", "Elixir source with the topologies")
    .option("--out <file>", "file to write (default: standard output)")
    .action(async (file: string, options: ConvertOptions) => {
      const { convert } = await import("./commands/convert.ts");
      status = await convert(file, options);
    });
  try {
    await program.parseAsync(args, { from: "user" });
    return status;
  } catch (error) {
    // commander has written what there is to say
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.OK : EXIT.USAGE;
    if (!isIsthmusError(error)) throw error;
    console.error(`isthmus: ${told(error)}`);
    return exitStatus(error.code);
  }
}

function logLevel(): Option {
  const levels = ["debug", "info", "warn", "error", "silent"];
  return new Option("--log-level <level>", "overrides log.level").choices(levels);
}

function logFormat(): Option {
  const meaning = "overrides log.format; auto: readable on a terminal, else JSON";
  return new Option("--log-format <format>", meaning).choices(["auto", "json", "pretty"]);
}

/** Codes whose messages say in words what their causes say in those of the system. */
const EXPLAINED: ReadonlySet<string> = new Set([
  "CONFIG_UNREADABLE",
  "STATUS_UNREACHABLE",
  "EPMD_UNREACHABLE",
  "ADMIN_LISTEN_FAILED",
]);

function told(error: IsthmusError): string {
  // its problems say it all
  if (error.code === "CONFIG_INVALID") return error.message;
  const lines = [`${error.message} (${error.code})`];
  if (EXPLAINED.has(error.code)) return lines.join("");
  for (let cause = error.cause; cause instanceof Error && lines.length < 5; cause = cause.cause) {
    lines.push(`  because: ${cause.message}`);
  }
  return lines.join("\n");
}

function port(text: string): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= 1 && number <= 65_535) return number;
  throw new InvalidArgumentError("It must be a port, 1 to 65535.");
}

function url(text: string): string {
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return text;
  throw new InvalidArgumentError("It must be an address, http://host:port.");
}

function seconds(text: string): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= 1 && number <= 3600) return number;
  throw new InvalidArgumentError("It must be seconds, 1 to 3600.");
}
