import { IsthmusError } from "@isthmus/wire";
import { expect, it } from "vitest";
import { HostsRound, PARALLEL_HOSTS } from "../../src/erlang-hosts/hosts-round.ts";
import { recordingLogger, settled } from "../support/fake-cluster.ts";

const { signal } = new AbortController();

/** Hosts whose answers the test sets. */
function fake() {
  const answers = new Map<string, readonly string[] | IsthmusError>();
  const logger = recordingLogger();
  const round = new HostsRound(logger, async (host) => {
    const answer = answers.get(host);
    if (answer === undefined || answer instanceof IsthmusError) throw answer ?? new Error("no answer");
    return answer;
  });
  return { answers, logger, run: (...hosts: string[]) => round.run(hosts, signal) };
}

const unreachable = new IsthmusError("EPMD_UNREACHABLE", "Nobody listens there.");

it("gives what all hosts say, in their order", async () => {
  const { answers, run } = fake();
  answers.set("h1", ["a@h1"]).set("h2", []).set("h3", ["a@h3", "b@h3"]);
  expect(await run("h3", "h2", "h1")).toEqual(["a@h3", "b@h3", "a@h1"]);
  expect(await run()).toEqual([]);
});

it("keeps what a host said last while it cannot be asked, and says so once", async () => {
  const { answers, run, logger } = fake();
  answers.set("h1", ["a@h1"]).set("h2", ["a@h2"]);
  await run("h1", "h2");
  answers.set("h1", unreachable).set("h2", ["b@h2"]);
  expect(await run("h1", "h2")).toEqual(["a@h1", "b@h2"]);
  expect(await run("h1", "h2")).toEqual(["a@h1", "b@h2"]);
  answers.set("h1", []);
  expect(await run("h1", "h2")).toEqual(["b@h2"]);
  expect(logger.lines.map(({ level, fields }) => [level, fields["host"], fields["code"]])).toEqual([
    ["warn", "h1", "EPMD_UNREACHABLE"],
    ["debug", "h1", "EPMD_UNREACHABLE"],
    ["info", "h1", undefined],
  ]);
});

it("forgets hosts that are not listed any more", async () => {
  const { answers, run } = fake();
  answers.set("h1", ["a@h1"]).set("h2", ["a@h2"]);
  await run("h1", "h2");
  await run("h2");
  answers.set("h1", unreachable);
  expect(await run("h1", "h2")).toEqual(["a@h2"]);
});

it("fails when no host can be asked", async () => {
  const { answers, run } = fake();
  answers.set("h1", unreachable).set("h2", unreachable);
  await expect(run("h1", "h2")).rejects.toMatchObject({
    code: "DISCOVERY_FAILED",
    message: "None of 2 hosts could be asked for its nodes. One of them: Nobody listens there.",
    cause: unreachable,
  });
});

it("asks many at once, but not all", async () => {
  const waiting: (() => void)[] = [];
  const round = new HostsRound(recordingLogger(), (host) => {
    return new Promise((resolve) => waiting.push(() => resolve([`a@${host}`])));
  });
  const done = round.run(
    Array.from({ length: PARALLEL_HOSTS + 1 }, (_, i) => `h${i}`),
    signal,
  );
  await settled();
  expect(waiting).toHaveLength(PARALLEL_HOSTS);
  waiting[0]!();
  await settled();
  expect(waiting).toHaveLength(PARALLEL_HOSTS + 1);
  for (const answer of waiting) answer();
  expect(await done).toHaveLength(PARALLEL_HOSTS + 1);
});
