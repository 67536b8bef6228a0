import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type NatsConnection } from "nats";
import { freePort } from "../../../../test/support/epmd.ts";
import { OwnedProcess } from "../../../../test/support/owned-process.ts";

/** What a user may do: subjects, with wildcards. */
export interface Rights {
  readonly publish: { readonly allow?: readonly string[]; readonly deny?: readonly string[] };
  readonly subscribe: { readonly allow?: readonly string[]; readonly deny?: readonly string[] };
}

/** A real nats-server whose users have rights that can be changed while it runs. */
export class NatsWithRights {
  readonly url: string;
  readonly #file: string;
  readonly #folder: string;
  readonly #process: OwnedProcess;

  private constructor(url: string, folder: string, file: string, server: OwnedProcess) {
    this.url = url;
    this.#folder = folder;
    this.#file = file;
    this.#process = server;
  }

  /** @param users their rights, or the text of a whole configuration */
  static async start(users: Readonly<Record<string, Rights>> | string): Promise<NatsWithRights> {
    const folder = mkdtempSync(join(tmpdir(), "isthmus-nats-rights-"));
    const file = join(folder, "nats.conf");
    writeFileSync(file, typeof users === "string" ? users : configuration(users));
    for (let attempt = 0; ; attempt++) {
      const port = await freePort();
      const args = ["-a", "127.0.0.1", "-p", String(port), "-c", file];
      const server = await OwnedProcess.start("nats-server", "nats-server", args, {
        PATH: `${process.env["PATH"]}:/usr/sbin:/usr/local/sbin`,
      });
      while (server.running && !server.output.includes("Server is ready")) await turn();
      if (server.running) return new NatsWithRights(`nats://127.0.0.1:${port}`, folder, file, server);
      if (attempt === 3) throw new Error(`nats-server did not start: ${server.output}`);
    }
  }

  /** What a client needs to be this user. */
  as(user: string): { readonly servers: string; readonly user: string; readonly password: string } {
    return { servers: this.url, user, password: passwordOf(user) };
  }

  async client(user: string): Promise<NatsConnection> {
    return connect({ servers: this.url, user, pass: passwordOf(user), reconnect: false });
  }

  /** Gives the users other rights. */
  async change(users: Readonly<Record<string, Rights>>): Promise<void> {
    const reloads = (): number => this.#process.output.split("Reloaded server configuration").length;
    const before = reloads();
    writeFileSync(this.#file, configuration(users));
    this.#process.signal("SIGHUP");
    while (this.#process.running && reloads() === before) await turn();
  }

  async stop(): Promise<void> {
    await this.#process.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const passwordOf = (user: string): string => `the password of ${user}`;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function configuration(users: Readonly<Record<string, Rights>>): string {
  const all = Object.entries(users).map(
    ([user, permissions]) => `    ${JSON.stringify({ user, password: passwordOf(user), permissions })}`,
  );
  return `authorization: {\n  users: [\n${all.join(",\n")}\n  ]\n}\n`;
}
