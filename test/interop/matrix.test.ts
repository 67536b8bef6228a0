import { type HiddenNode, startNode } from "@isthmus/core";
import { FLAG, HIDDEN_FULL } from "@isthmus/dist-handshake";
import { atom, tuple } from "@isthmus/etf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Beam, startBeam } from "../support/beam.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import type { Otp, OtpRelease } from "../support/otp.ts";
import { eachOtp } from "../support/peers.ts";
import { Cell, type Dialer, until } from "./cell.ts";
import { type Certificates, makeCertificates } from "./certificates.ts";
import { Coverage } from "./coverage.ts";
import { calls } from "./scenarios/calls.ts";
import { messages } from "./scenarios/messages.ts";
import { nodes } from "./scenarios/nodes.ts";
import { relations } from "./scenarios/relations.ts";
import { traces } from "./scenarios/traces.ts";

/** Longer than the tick time of both ends, by which an end that hears nothing gives the other one up. */
const IDLE_MS = 6500;
const scenarios = [...messages, ...relations, ...calls, ...traces, ...nodes];

/** What a node announces that knows the oldest forms of signals only, as far as the release lets it. */
function oldForms(otp: OtpRelease): bigint {
  const left = FLAG.SEND_SENDER | FLAG.EXIT_PAYLOAD | FLAG.ALTACT_SIG | FLAG.BIG_SEQTRACE_LABELS;
  return HIDDEN_FULL & ~(otp < 26 ? left | FLAG.UNLINK_ID | FLAG.MANDATORY_25_DIGEST : left);
}

const TRANSPORTS = ["TCP", "TLS"] as const;
type Transport = (typeof TRANSPORTS)[number];

/** One BEAM, for all cells of its release and transport; and connections that say nothing while the others do. */
class Lab {
  readonly otp: Otp;
  readonly transport: Transport;
  readonly #cells: Cell[] = [];
  #idle: Cell[] = [];
  #idleSince = 0;
  #epmd: Epmd | undefined;
  #beam: Beam | undefined;

  constructor(otp: Otp, transport: Transport) {
    this.otp = otp;
    this.transport = transport;
  }

  async start(): Promise<void> {
    const { otp, release } = this.otp;
    this.#epmd = await startEpmd({ otp });
    const args = ["-kernel", "net_ticktime", "4", ...(this.transport === "TLS" ? certificates.erl : [])];
    const name = `beam_${this.transport.toLowerCase()}_${release}@127.0.0.1`;
    this.#beam = await startBeam({ name, cookie: "biscuit", epmdPort: this.#epmd.port, otp, args });
    this.#idle = [this.cell("idle", "we"), this.cell("idle", "they")];
    for (const cell of this.#idle) {
      await cell.start();
      await cell.connect();
    }
    this.#idleSince = Date.now();
  }

  async stop(): Promise<void> {
    for (const cell of this.#cells) await cell.stop();
    await this.#beam?.stop();
    await this.#epmd?.stop();
  }

  cell(name: string, dialer: Dialer, flags?: bigint): Cell {
    const cell = new Cell({
      beam: this.#beam!,
      epmd: this.#epmd!,
      dialer,
      name: `${name}_${dialer}`,
      certificates: this.transport === "TLS" ? certificates : undefined,
      flags,
    });
    this.#cells.push(cell);
    return cell;
  }

  /** A node of ours with a name of their choice. */
  named(): Promise<HiddenNode> {
    return startNode({
      name: { from: this.#beam!.node },
      cookie: "biscuit",
      epmd: { host: "127.0.0.1", port: this.#epmd!.port },
      ...(this.transport === "TLS" ? { tls: certificates.tls } : {}),
    });
  }

  /** The silent ones, after longer than the tick time. */
  async idle(): Promise<readonly Cell[]> {
    await until(() => Date.now() - this.#idleSince > IDLE_MS);
    return this.#idle;
  }
}

const coverage = new Coverage();
const labs: Lab[] = [];
let certificates: Certificates;
beforeAll(async () => {
  certificates = makeCertificates();
  await Promise.all(labs.map((lab) => lab.start()));
});
afterAll(async () => {
  await Promise.all(labs.map((lab) => lab.stop()));
  certificates.remove();
});

eachOtp("interop", (otp) => {
  describe.each(TRANSPORTS)("over %s", (transport) => {
    const lab = new Lab(otp, transport);
    labs.push(lab);

    const run = (title: string, name: string, dialer: Dialer, flags?: bigint): void => {
      describe(title, () => {
        let cell: Cell;
        beforeAll(async () => {
          cell = lab.cell(name, dialer, flags);
          await cell.start();
          await cell.connect();
        });
        afterAll(() => {
          const conversations = cell.conversations();
          // nobody but the one who should has dialled
          const dialling = cell.dialer === "we" ? cell.us : cell.them;
          for (const { initiator } of conversations) expect(initiator.node).toBe(dialling);
          coverage.add(otp.release, cell.us, conversations);
        });
        for (const scenario of scenarios) {
          if (scenario.when?.(otp.release, flags === undefined) === false) continue;
          it(scenario.name, async () => {
            await scenario.run(cell);
            // whatever happened, the two are still connected
            expect(await cell.erl("net_adm:ping(JS)")).toBe("pong");
          });
        }
      });
    };
    run("we dial", "js", "we");
    run("they dial", "js", "they");
    if (transport === "TCP") {
      run("we dial, with the oldest forms of signals", "old", "we", oldForms(otp.otp));
      run("they dial, with the oldest forms of signals", "old", "they", oldForms(otp.otp));
    }

    it("they give us a name", async () => {
      const node = await lab.named();
      expect(node.name).toMatch(/^[0-9A-Z]+@127\.0\.0\.1$/);
      const them = node.nodes()[0]!.node;
      node.serve("echo", { call: (request) => request });
      const answer = await node.processes.erpc.call(them, "gen_server", "call", [
        tuple(atom("echo"), atom(node.name)),
        atom("hello"),
      ]);
      expect(answer).toBe(atom("hello"));
      expect(await node.processes.erpc.call(them, "erlang", "nodes", [atom("hidden")])).toContain(
        atom(node.name),
      );
      await node.close();
    });

    it("connections that say nothing stay", async () => {
      for (const cell of await lab.idle()) {
        expect(cell.node.nodes()).toMatchObject([{ node: cell.them }]);
        expect(await cell.erl("lists:member(JS, nodes(hidden))")).toBe("true");
        if (transport === "TLS") continue;
        const [only, ...others] = cell.conversations();
        expect(others).toEqual([]);
        for (const spoken of [only!.initiator, only!.acceptor]) {
          expect(spoken.ticks).toBeGreaterThanOrEqual(4);
          expect([...spoken.ops]).toEqual([]);
        }
        coverage.add(otp.release, cell.us, [only!]);
      }
    });
  });
});

describe("what was said on the wire", () => {
  it("is every control message that each release has, in both directions", () => {
    process.stdout.write(`${coverage.table()}\n`);
    expect(coverage.problems()).toEqual([]);
  });
});
