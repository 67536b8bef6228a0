import { strategiesError } from "../errors.ts";
import { httpLines } from "../http/http-client.ts";
import { readTextFile } from "../text-file.ts";
import { type Command, runCommand } from "./command.ts";
import { parseNames } from "./names.ts";

/** Asks a source for the names. */
export type Ask = (signal: AbortSignal) => Promise<readonly string[]>;

/** Names as a command prints them. */
export function askCommand(command: Command, basename: string | undefined): Ask {
  const source = `The output of ${command.shell ? "the command" : command.argv[0]}`;
  return async (signal) => parseNames(await runCommand(command, signal), source, basename);
}

/** Names in a file. It is read in each round, so that no change is missed, whatever its time stamp says. */
export function askFile(path: string, basename: string | undefined): Ask {
  return async () => parseNames(await requiredFile(path), `The file ${path}`, basename);
}

/** Where names are by HTTP. */
export interface UrlSource {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly caFile: string | undefined;
  readonly maxBytes: number;
}

/** Names in the answer of an HTTP service. */
export function askUrl({ url, headers, caFile, maxBytes }: UrlSource, basename: string | undefined): Ask {
  // the query may have a token
  const { origin, pathname } = new URL(url);
  const source = `The answer of ${origin}${pathname}`;
  return async (signal) => {
    const ca = caFile === undefined ? {} : { ca: await requiredFile(caFile) };
    const lines: string[] = [];
    let length = 0;
    await httpLines({ url, headers, maxBytes, signal, ...ca }, (line) => {
      length += Buffer.byteLength(line) + 1;
      if (length > maxBytes) {
        const message = `${source} is longer than ${maxBytes} bytes.`;
        throw strategiesError("DISCOVERY_FAILED", message, { context: { source, maxBytes } });
      }
      lines.push(line);
    });
    return parseNames(lines.join("\n"), source, basename);
  };
}

async function requiredFile(path: string): Promise<string> {
  const text = await readTextFile(path);
  if (text !== undefined) return text;
  throw strategiesError("DISCOVERY_FAILED", `The file ${path} does not exist.`, { context: { path } });
}
