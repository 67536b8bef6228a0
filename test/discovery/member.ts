import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import type { NetworkHost } from "../support/network-namespaces.ts";
import type { OwnedProcess } from "../support/owned-process.ts";

const LOADER = fileURLToPath(new URL("typescript.mjs", import.meta.url));
const PROGRAM = fileURLToPath(new URL("member-program.ts", import.meta.url));

/** How long a test waits for what members do. */
export const patiently = { timeout: 30_000, interval: 50 };

/** What a member is, and does. */
export interface MemberOptions {
  /** Its node name. */
  readonly name: string;
  readonly strategy: string;
  /** Of the strategy, as in a configuration file. */
  readonly options: Readonly<Record<string, unknown>>;
  /** With one, it is a hidden node and connects what it finds. */
  readonly cookie?: string | undefined;
}

/** A strategy of ours in a process on a host of its own. */
export class Member {
  readonly #child: OwnedProcess;

  static async start(host: NetworkHost, options: MemberOptions): Promise<Member> {
    const args = ["--conditions=@isthmus/source", "--import", LOADER, PROGRAM, JSON.stringify(options)];
    return new Member(await host.start(`${options.strategy} of ${options.name}`, process.execPath, args));
  }

  private constructor(child: OwnedProcess) {
    this.#child = child;
  }

  /** Everything it said. */
  get output(): string {
    return this.#child.output;
  }

  /** What it said last; undefined before. */
  get last(): unknown {
    // a line that is cut off is not the last one yet
    const lines = this.output.split("\n").slice(0, -1);
    return lines.length === 0 ? undefined : JSON.parse(lines.at(-1)!);
  }

  /** Waits until this is what it said last. */
  says(line: unknown): Promise<void> {
    const what = (): unknown => (this.#child.running ? this.last : `it ended: ${this.output}`);
    return expect.poll(what, patiently).toEqual(line);
  }
}
