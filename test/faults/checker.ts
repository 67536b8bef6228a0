import { connect } from "node:net";

/** Counters of what may not happen; test/erlang/isthmus_checker.erl says what each means. */
export const WRONG = [
  "lost",
  "duplicated",
  "reordered",
  "hung",
  "implausible",
  "corrupt",
  "impostors",
  "crashed",
] as const;

/** What a checker counts, by name. A counter that is not there is 0. */
export type Report = Readonly<Record<string, number>>;

/** Something that may not happen: how often it did, and words for it. */
export interface Wrong {
  /** By the names of {@link WRONG}. */
  readonly counters: Report;
  readonly notes: readonly string[];
}

/** The sum of several; all of {@link WRONG} are in it. */
export function sumOf(several: readonly Wrong[]): Wrong {
  const sum = (name: string): number =>
    several.reduce((total, { counters }) => total + (counters[name] ?? 0), 0);
  return {
    counters: Object.fromEntries(WRONG.map((name) => [name, sum(name)])),
    notes: several.flatMap(({ notes }) => notes),
  };
}

const isText = (note: unknown): note is string => typeof note === "string";

const TIMEOUT_MS = 30_000;

/**
 * The way to an `isthmus_checker` on a host of a network: a Unix socket, which is there whatever becomes of the network.
 * A request is an Erlang term, its answer an object.
 */
export class Checker {
  readonly path: string;

  /** @param path where the node listens: the value of its environment variable ISTHMUS_CHECKER */
  constructor(path: string) {
    this.path = path;
  }

  report(): Promise<Report> {
    return this.#ask("report") as Promise<Report>;
  }

  /** How often each client has reached what it wanted. */
  progress(): Promise<Report> {
    return this.#ask("progress") as Promise<Report>;
  }

  /** What was wrong since the last time. */
  async wrong(): Promise<Wrong> {
    const answer = Object.entries(await this.#ask("wrong"));
    const counters = answer.filter((entry): entry is [string, number] => typeof entry[1] === "number");
    return { counters: Object.fromEntries(counters), notes: answer.map(([, note]) => note).filter(isText) };
  }

  /** @param peers as Erlang terms: `{checker_b1,'bridge@10.77.0.15'}` */
  async start(peers: readonly string[], load: string): Promise<void> {
    await this.#ask(`{start,[${peers.join(",")}],${load}}`);
  }

  /** Makes so many short-lived processes, so that the numbers of later ones are larger. */
  async spawned(count: number): Promise<void> {
    await this.#ask(`{spawned,${count}}`);
  }

  /** Lets every client end when its step is done; {@link Checker.report} counts those that still run. */
  async quiesce(): Promise<void> {
    await this.#ask("quiesce");
  }

  /** What each process that runs for clients of other nodes waits for. */
  waiting(): Promise<Readonly<Record<string, unknown>>> {
    return this.#ask("waiting");
  }

  /** Keeps pids of the peer for {@link Checker.probe}. @returns how many */
  async keep(peer: string): Promise<number> {
    return (await this.#ask(`{keep,${peer}}`))["kept"] as number;
  }

  /** What has become of the pids that were kept. */
  probe(): Promise<Report> {
    return this.#ask("probe") as Promise<Report>;
  }

  /** Sends `count` messages of `bytes` bytes to the peer, as fast as the way takes them. */
  async flood(peer: string, count: number, bytes: number): Promise<void> {
    await this.#ask(`{flood,${peer},${count},${bytes}}`);
  }

  async isUp(): Promise<boolean> {
    return this.#ask("report").then(
      () => true,
      () => false,
    );
  }

  #ask(request: string): Promise<Readonly<Record<string, unknown>>> {
    return new Promise((resolve, reject) => {
      let answer = "";
      const socket = connect(this.path, () => socket.write(`${request}.\n`)).setEncoding("utf8");
      socket.setTimeout(TIMEOUT_MS, () =>
        socket.destroy(new Error(`${this.path} does not answer ${request}`)),
      );
      socket.on("data", (text) => {
        answer += text;
        if (answer.endsWith("\n")) socket.end();
      });
      socket.once("error", reject);
      socket.once("close", () => {
        if (answer.endsWith("\n")) resolve(JSON.parse(answer));
        else reject(new Error(`${this.path} has closed before it answered ${request}`));
      });
    });
  }
}
