import { homedir } from "node:os";
import { join } from "node:path";
import { strategiesError } from "../errors.ts";
import { readTextFile } from "../text-file.ts";

const NAME = ".hosts.erlang";

/** Where Erlang looks for `.hosts.erlang` (`net_adm:host_file/0`): working directory, home, its own root. */
export function hostsFilePaths(env: NodeJS.ProcessEnv = process.env): string[] {
  const root = env["OTP_ROOT"] || "/usr/lib/erlang";
  return [process.cwd(), env["HOME"] || homedir(), root].map((folder) => join(folder, NAME));
}

/**
 * Reads the first of these files that exists.
 * @throws IsthmusError `DISCOVERY_FAILED` when there is none, or the first one cannot be read
 */
export async function readFirst(
  paths: readonly string[],
): Promise<{ readonly path: string; readonly text: string }> {
  for (const path of paths) {
    const text = await readTextFile(path);
    if (text !== undefined) return { path, text };
  }
  const message = `There is no ${NAME}: none of ${paths.join(", ")} exists. Make one, or say where it is with file.`;
  throw strategiesError("DISCOVERY_FAILED", message, { context: { paths } });
}
