import type { Connection } from "@isthmus/core";
import { SIGNAL, Signal } from "@isthmus/core/channel";
import { atom, Pid } from "@isthmus/etf";
import { expect, it } from "vitest";
import { TakenMessages } from "../../src/routing/taken-messages.ts";

const SOURCE = {} as Connection;
const pid = (id: number, serial = 0): Pid => new Pid(atom("bridge@h"), id, serial, 7);

function signal(kind: number = SIGNAL.SEND): Signal {
  return Object.assign(new Signal(), { kind });
}

it("messages to a process are taken while it is said so, other signals and processes are not", () => {
  const taken = new TakenMessages();
  let got = 0;
  expect(taken.process(SOURCE, signal(), pid(1))).toBe(false);
  const end = taken.ofProcess(pid(1), () => void got++);
  expect(taken.process(SOURCE, signal(), pid(1))).toBe(true);
  expect(taken.process(SOURCE, signal(SIGNAL.MONITOR), pid(1))).toBe(false);
  expect(taken.process(SOURCE, signal(), pid(1, 1))).toBe(false);
  end();
  expect(taken.process(SOURCE, signal(), pid(1))).toBe(false);
  expect(got).toBe(1);
});

it("messages to a name go to all who take them", () => {
  const taken = new TakenMessages();
  const got: string[] = [];
  const ends = ["one", "two"].map((who) => taken.ofName(atom("room"), () => void got.push(who)));
  expect(taken.name(SOURCE, signal(), atom("room"))).toBe(true);
  expect(taken.name(SOURCE, signal(), atom("hall"))).toBe(false);
  expect(taken.name(SOURCE, signal(SIGNAL.MONITOR), atom("room"))).toBe(false);
  ends[0]!();
  ends[0]!();
  expect(taken.name(SOURCE, signal(), atom("room"))).toBe(true);
  ends[1]!();
  expect(taken.name(SOURCE, signal(), atom("room"))).toBe(false);
  expect(got).toEqual(["one", "two", "two"]);
});
