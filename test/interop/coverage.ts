import { OP } from "@isthmus/core/channel";
import type { Conversation, Spoken } from "./recorder.ts";

type Direction = "we" | "they";

/** Releases as in `release`, forms as recorded: `37/4` is an alias send of OTP 28+. */
interface Row {
  readonly op: string;
  readonly name: string;
  /** Why a release cannot say it to us, or we to it; undefined when it must have been seen. */
  readonly never: (release: number, direction: Direction) => string | undefined;
}

const OUR_SPAWNS = "what our node asks for, and answers, about spawning carries no token";
const THEIR_EXIT2 = "a BEAM sends exit/2 without token";
const always = (): undefined => undefined;

const ROWS: readonly Row[] = [
  row("LINK", always),
  row("SEND", always),
  row("EXIT", always),
  row("UNLINK", (release) =>
    release >= 26 ? "OTP 26+ has UNLINK_ID only, and takes nothing else" : undefined,
  ),
  row("REG_SEND", always),
  row("GROUP_LEADER", always),
  row("EXIT2", always),
  row("SEND_TT", always),
  row("EXIT_TT", always),
  row("REG_SEND_TT", always),
  row("EXIT2_TT", (_release, direction) => (direction === "they" ? THEIR_EXIT2 : undefined)),
  row("MONITOR_P", always),
  row("DEMONITOR_P", always),
  row("MONITOR_P_EXIT", always),
  row("SEND_SENDER", always),
  row("SEND_SENDER_TT", always),
  row("PAYLOAD_EXIT", always),
  row("PAYLOAD_EXIT_TT", always),
  row("PAYLOAD_EXIT2", always),
  row("PAYLOAD_EXIT2_TT", (_release, direction) => (direction === "they" ? THEIR_EXIT2 : undefined)),
  row("PAYLOAD_MONITOR_P_EXIT", always),
  row("SPAWN_REQUEST", always),
  row("SPAWN_REQUEST_TT", (_release, direction) => (direction === "we" ? OUR_SPAWNS : undefined)),
  row("SPAWN_REPLY", always),
  row("SPAWN_REPLY_TT", () => OUR_SPAWNS),
  row("ALIAS_SEND", (release) => (release < 24 ? "OTP 23 has no aliases" : undefined)),
  row("ALIAS_SEND_TT", (release) => (release < 24 ? "OTP 23 has no aliases" : undefined)),
  row("UNLINK_ID", (release) => (release < 24 ? "OTP 23 has UNLINK only" : undefined)),
  row("UNLINK_ID_ACK", (release) => (release < 24 ? "OTP 23 has UNLINK only" : undefined)),
  alternate(4, "alias", always),
  alternate(5, "alias, urgent", () => "our node sends nothing urgent"),
  alternate(6, "alias, token", always),
  alternate(21, "exit to alias, urgent", () => "our node sends nothing urgent"),
];

function row(name: keyof typeof OP, never: Row["never"]): Row {
  return { op: String(OP[name]), name, never };
}

function alternate(flags: number, what: string, ours: Row["never"]): Row {
  return {
    op: `37/${flags}`,
    name: `ALTACT_SIG_SEND (${what})`,
    never: (release, direction) =>
      release < 28 ? "OTP 28+ only" : direction === "we" ? ours(release, direction) : undefined,
  };
}

/** Counts which control messages each release and we have said to each other. */
export class Coverage {
  readonly #counts = new Map<number, Record<Direction, Map<string, number>>>();

  add(release: number, us: string, conversations: readonly Conversation[]): void {
    const counts = this.#counts.get(release) ?? { we: new Map(), they: new Map() };
    this.#counts.set(release, counts);
    for (const { initiator, acceptor } of conversations) {
      for (const spoken of [initiator, acceptor]) count(counts[spoken.node === us ? "we" : "they"], spoken);
    }
  }

  /** One line for each control message: how often it was said, by us and by them. */
  table(): string {
    const releases = [...this.#counts.keys()].sort((a, b) => a - b);
    const line = (name: string, cells: readonly string[]): string =>
      name.padEnd(40) + cells.map((cell) => cell.padStart(7)).join("");
    const lines = [
      "Control messages seen, to (>) and from (<) each OTP release; - cannot be:",
      line(
        "",
        releases.flatMap((release) => [`>${release}`, `<${release}`]),
      ),
    ];
    const why = new Map<string, string>();
    for (const { op, name, never } of ROWS) {
      const cells = releases.flatMap((release) =>
        (["we", "they"] as const).map((direction) => {
          const reason = never(release, direction);
          if (reason !== undefined)
            why.set(`${name} ${direction === "we" ? `to ${release}` : `from ${release}`}`, reason);
          return String(this.#seen(release, direction, op) || (reason === undefined ? 0 : "-"));
        }),
      );
      lines.push(line(`${op.padStart(5)} ${name}`, cells));
    }
    for (const extra of ["tick", "fragmented message", "header with atoms"]) {
      const cells = releases.flatMap((release) =>
        (["we", "they"] as const).map((direction) => String(this.#seen(release, direction, extra))),
      );
      lines.push(line(`      ${extra}`, cells));
    }
    return [...lines, "", ...reasonsOf(why)].join("\n");
  }

  /** What should have been said and was not, and the other way round. */
  problems(): string[] {
    const problems: string[] = [];
    const known = new Set(ROWS.map(({ op }) => op));
    for (const [release, counts] of this.#counts) {
      for (const direction of ["we", "they"] as const) {
        const who = direction === "we" ? `we to OTP ${release}` : `OTP ${release} to us`;
        for (const { op, name, never } of ROWS) {
          const reason = never(release, direction);
          const seen = this.#seen(release, direction, op) > 0;
          if (!seen && reason === undefined) problems.push(`${name} was never said by ${who}`);
          if (seen && reason !== undefined) problems.push(`${name} was said by ${who}, though ${reason}`);
        }
        for (const op of counts[direction].keys()) {
          if (/^\d/.test(op) && !known.has(op))
            problems.push(`${op} was said by ${who} and is not in the table`);
        }
        for (const what of ["tick", "fragmented message", "header with atoms"]) {
          if (this.#seen(release, direction, what) === 0) problems.push(`no ${what} from ${who}`);
        }
      }
    }
    return problems;
  }

  #seen(release: number, direction: Direction, what: string): number {
    return this.#counts.get(release)?.[direction].get(what) ?? 0;
  }
}

function count(counts: Map<string, number>, { ops, ticks, fragmented, cached }: Spoken): void {
  const extras = [
    ["tick", ticks],
    ["fragmented message", fragmented],
    ["header with atoms", cached],
  ] as const;
  for (const [what, number] of [...ops, ...extras]) counts.set(what, (counts.get(what) ?? 0) + number);
}

/** Reasons, each once, with what they are about. */
function reasonsOf(why: ReadonlyMap<string, string>): string[] {
  const about = new Map<string, Set<string>>();
  for (const [what, reason] of why) {
    const names = about.get(reason) ?? new Set<string>();
    about.set(reason, names.add(what.replace(/ (to|from) \d+$/, "")));
  }
  return Array.from(about, ([reason, names]) => `- ${reason}: ${[...names].join(", ")}`);
}
