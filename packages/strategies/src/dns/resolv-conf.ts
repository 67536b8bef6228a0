import { getServers } from "node:dns";
import { readFile, stat } from "node:fs/promises";
import { strategiesError } from "../errors.ts";
import type { SearchList } from "./domain-name.ts";
import { readServerAddress, type ServerAddress } from "./server-address.ts";

/** What `resolv.conf` says. */
export interface ResolvConf extends SearchList {
  readonly servers: readonly ServerAddress[];
  /** Milliseconds that a server has to answer. */
  readonly timeoutMs: number | undefined;
  /** How often each server is asked at most. */
  readonly attempts: number | undefined;
}

const MAX_BYTES = 64 * 1024;
const MAX_SERVERS = 8;
const MAX_SEARCH = 32;

/** Reads the text of a `resolv.conf` (resolv.conf(5)). Lines that are not understood are left out, as everywhere. */
export function parseResolvConf(text: string): ResolvConf {
  const servers: ServerAddress[] = [];
  let search: readonly string[] = [];
  const numbers: Record<string, number> = {};
  for (const line of text.split(/\r?\n/)) {
    const [keyword, ...words] = line
      .replace(/[#;].*$/, "")
      .trim()
      .split(/\s+/);
    if (keyword === "nameserver") {
      const address = readServerAddress(words[0] ?? "");
      if (address !== undefined && servers.length < MAX_SERVERS) servers.push(address);
    } else if (keyword === "search" || keyword === "domain") {
      // the last of them holds; "." stands for none
      search = words.slice(0, keyword === "domain" ? 1 : MAX_SEARCH).filter((word) => word !== ".");
    } else if (keyword === "options") {
      for (const word of words) {
        const [, name, number] = /^(ndots|timeout|attempts):(\d{1,3})$/.exec(word) ?? [];
        if (name !== undefined) numbers[name] = Number(number);
      }
    }
  }
  const {
    ndots = 1,
    timeout,
    attempts,
  } = numbers as Partial<Record<"ndots" | "timeout" | "attempts", number>>;
  return {
    servers,
    search,
    ndots: Math.min(ndots, 15),
    timeoutMs: timeout === undefined ? undefined : Math.min(Math.max(timeout, 1), 30) * 1000,
    attempts: attempts === undefined ? undefined : Math.min(Math.max(attempts, 1), 5),
  };
}

/**
 * A `resolv.conf` that is read again whenever it has changed. Without nameservers in it, or without the file, the
 * servers are those that Node.js found out.
 */
export class ResolvConfFile {
  readonly #path: string;
  #version = "";
  #conf: ResolvConf | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** @throws IsthmusError `DISCOVERY_FAILED` when the file is there and cannot be read */
  async read(): Promise<ResolvConf> {
    try {
      const { mtimeMs, size, ino } = await stat(this.#path);
      const version = `${mtimeMs} ${size} ${ino}`;
      if (this.#conf === undefined || version !== this.#version) {
        if (size > MAX_BYTES) throw new RangeError(`it is longer than ${MAX_BYTES} bytes`);
        this.#conf = withServers(parseResolvConf(await readFile(this.#path, "utf8")));
        this.#version = version;
      }
      return this.#conf;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return withServers(parseResolvConf(""));
      const message = `${this.#path} cannot be read: ${(cause as Error).message}. Correct it, or name servers.`;
      throw strategiesError("DISCOVERY_FAILED", message, { cause, context: { path: this.#path } });
    }
  }
}

function withServers(conf: ResolvConf): ResolvConf {
  if (conf.servers.length > 0) return conf;
  return { ...conf, servers: getServers().flatMap((text) => readServerAddress(text) ?? []) };
}
