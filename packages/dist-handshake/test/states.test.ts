import { readFileSync } from "node:fs";
import { Cookie, FLAG, HIDDEN_FULL, MANDATORY_25, TRANSITIONS } from "@isthmus/dist-handshake";
import { describe, expect, it } from "vitest";
import { acceptor, initiator, node, pair } from "./support/nodes.ts";

const OLD = 5;
const anyone = MANDATORY_25 & ~FLAG.HANDSHAKE_23;
const withName = node("h", { flags: HIDDEN_FULL | FLAG.NAME_ME });
const given = { named: "x@h", creation: 9 };

/** Every way through both machines that is not an error at once. */
const runs = [
  pair(initiator(), acceptor()),
  pair(initiator({ epmdHighVersion: OLD }), acceptor()),
  pair(initiator({ epmdHighVersion: OLD }), acceptor({ decide: () => "alive" })),
  pair(initiator(), acceptor({ decide: () => "alive" })),
  pair(initiator({ onAlive: () => false }), acceptor({ decide: () => "alive" })),
  pair(initiator({ local: withName }), acceptor({ decide: () => given })),
  pair(
    initiator({ epmdHighVersion: OLD, required: anyone, local: node("a@h", { flags: anyone }) }),
    acceptor({ required: anyone }),
  ),
  pair(initiator({ local: node("a@h", { cookies: [Cookie.of("wrong")] }) }), acceptor()),
  pair(initiator(), acceptor({ decide: () => "nok" })),
  pair(initiator({ peer: "other@h" }), acceptor()),
];

describe("the transition table", () => {
  it.each(["initiator", "acceptor"] as const)("holds every step that the %s makes, and no other", (role) => {
    const table: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = TRANSITIONS[role];
    const allowed = new Set<string>();
    for (const [from, row] of Object.entries(table)) {
      for (const targets of Object.values(row)) for (const to of targets) allowed.add(`${from} > ${to}`);
    }
    const made = new Set<string>();
    for (const run of runs) {
      const states = role === "initiator" ? run.initiatorStates : run.acceptorStates;
      states.forEach((to, i) => {
        if (i > 0 && to !== "failed") made.add(`${states[i - 1]} > ${to}`);
      });
    }
    expect([...made].sort()).toEqual([...allowed].sort());
  });

  it("is the diagram in the README", () => {
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
    for (const role of ["initiator", "acceptor"] as const) {
      expect(readme).toContain(["```mermaid", "stateDiagram-v2", ...diagram(role), "```"].join("\n"));
    }
  });
});

function diagram(role: keyof typeof TRANSITIONS): string[] {
  const lines: string[] = [];
  for (const [from, row] of Object.entries(TRANSITIONS[role])) {
    for (const [message, targets] of Object.entries(row as Record<string, readonly string[]>)) {
      for (const to of targets) lines.push(`  ${from} --> ${to}: ${message}`);
    }
  }
  return lines;
}
