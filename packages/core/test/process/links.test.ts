import { FLAG, HIDDEN_FULL } from "@isthmus/dist-handshake";
import { atom, type Pid, type Term, tuple } from "@isthmus/etf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Links } from "../../src/process/links.ts";
import type { Process } from "../../src/process/process.ts";
import { leftPid, rightPid } from "../support.ts";
import { collector, LEFT, type Network, RIGHT, type TestNode, twoNodes } from "./network.ts";

const EXIT = atom("EXIT");

describe("the states of a link (PROTOCOL 7.1)", () => {
  const peer = rightPid(1);
  const absent = (): Links => new Links();
  const linked = (): Links => {
    const links = new Links();
    links.link(peer);
    return links;
  };
  const unlinking = (): Links => {
    const links = linked();
    expect(links.unlink(peer)).toBe(1);
    return links;
  };
  const state = (links: Links): string =>
    links.has(peer) ? "linked" : links.size > 0 ? "unlinking" : "absent";

  it.each([
    ["absent", absent, { send: true, added: true }],
    ["linked", linked, { send: false, added: false }],
    ["unlinking", unlinking, { send: true, added: false }],
  ] as const)("link when %s", (_name, make, expected) => {
    const links = make();
    expect(links.link(peer)).toEqual(expected);
    expect(state(links)).toBe("linked");
  });

  it.each([
    ["absent", absent, true, "linked"],
    ["linked", linked, false, "linked"],
    ["unlinking", unlinking, false, "unlinking"],
  ] as const)("LINK arrives when %s", (_name, make, added, after) => {
    const links = make();
    expect(links.linkArrived(peer)).toBe(added);
    expect(state(links)).toBe(after);
  });

  it.each([
    ["absent", absent, 0, "absent"],
    ["linked", linked, 1, "unlinking"],
    ["unlinking", unlinking, 0, "unlinking"],
  ] as const)("unlink when %s", (_name, make, id, after) => {
    const links = make();
    expect(links.unlink(peer)).toBe(id);
    expect(state(links)).toBe(after);
  });

  it.each([
    ["absent", absent, false, "absent"],
    ["linked", linked, true, "absent"],
    ["unlinking", unlinking, false, "unlinking"],
  ] as const)("UNLINK_ID arrives when %s", (_name, make, removed, after) => {
    const links = make();
    expect(links.unlinkArrived(peer)).toBe(removed);
    expect(state(links)).toBe(after);
  });

  it.each([
    ["absent", absent, 1, "absent"],
    ["linked", linked, 1, "linked"],
    ["unlinking", unlinking, 1, "absent"],
    ["unlinking", unlinking, 1n, "absent"],
    ["unlinking", unlinking, 2, "unlinking"],
    ["unlinking", unlinking, 2n ** 64n - 1n, "unlinking"],
  ] as const)("the acknowledgement arrives when %s", (_name, make, id, after) => {
    const links = make();
    links.ackArrived(peer, id);
    expect(state(links)).toBe(after);
  });

  it.each([
    ["absent", absent, false],
    ["linked", linked, true],
    ["unlinking", unlinking, false],
  ] as const)("EXIT arrives when %s", (_name, make, deliver) => {
    const links = make();
    expect(links.exitArrived(peer).deliver).toBe(deliver);
    expect(state(links)).toBe("absent");
  });

  it("a late acknowledgement does not end a link made anew, nor a later unlink", () => {
    const links = unlinking();
    links.link(peer);
    links.ackArrived(peer, 1);
    expect(state(links)).toBe("linked");
    expect(links.unlink(peer)).toBe(2);
    links.ackArrived(peer, 1);
    expect(state(links)).toBe("unlinking");
    links.ackArrived(peer, 2);
    expect(state(links)).toBe("absent");
  });

  it("links to the processes of a lost node go, and only they", () => {
    const links = new Links();
    for (const pid of [rightPid(1), rightPid(2), leftPid(3)]) links.link(pid);
    links.unlink(rightPid(2));
    expect(links.dropNode(atom(RIGHT))).toEqual({ linked: [rightPid(1)], known: 2 });
    expect(links.linked()).toEqual([leftPid(3)]);
  });
});

describe("two ends of a link", () => {
  type Op = "left link" | "left unlink" | "right link" | "right unlink" | "to left" | "to right";
  const ops = fc.array(
    fc.constantFrom<Op>("left link", "left unlink", "right link", "right unlink", "to left", "to right"),
    { maxLength: 60 },
  );

  function act(op: Op, left: Process, right: Process, network: Network): void {
    if (op === "left link") left.link(right.pid);
    else if (op === "left unlink") left.unlink(right.pid);
    else if (op === "right link") right.link(left.pid);
    else if (op === "right unlink") right.unlink(left.pid);
    else network.step(op === "to left" ? `${RIGHT} ${LEFT}` : `${LEFT} ${RIGHT}`);
  }

  const spawn = (node: TestNode, got: Term[]): Process =>
    node.table.spawn({ trapExit: true, onMessage: (message) => void got.push(message) });

  it("agree in the end, whatever each does and whenever signals arrive", async () => {
    await fc.assert(
      fc.asyncProperty(ops, fc.boolean(), async (list, leftEnds) => {
        const { network, left, right } = twoNodes();
        network.connect(LEFT, RIGHT);
        const got = { left: [] as Term[], right: [] as Term[] };
        const a = spawn(left, got.left);
        const b = spawn(right, got.right);
        for (const op of list) act(op, a, b, network);
        await network.settle();
        const has = (process: Process, peer: Pid): boolean =>
          (process as Process & { links: Links }).links.has(peer);
        const linked = has(a, b.pid);
        expect(has(b, a.pid)).toBe(linked);
        // nothing is left in unlinking
        expect((a as Process & { links: Links }).links.size).toBe(linked ? 1 : 0);
        expect((b as Process & { links: Links }).links.size).toBe(linked ? 1 : 0);
        // and it is a link: the end of one is told to the other if and only if there is one
        const [first, second, seen] = leftEnds ? [a, b, got.right] : [b, a, got.left];
        first.exit(atom("end"));
        await network.settle();
        expect(seen).toEqual(linked ? [tuple(EXIT, first.pid, atom("end"))] : []);
        expect(second.alive).toBe(true);
        expect([...left.violations, ...right.violations]).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it("agree with the same rules when both are local", async () => {
    const { network, left } = twoNodes();
    const { got, process: a } = collector(left, { trapExit: true });
    const { process: b } = collector(left, { trapExit: true });
    a.link(b.pid);
    b.link(a.pid);
    a.unlink(b.pid);
    a.link(b.pid);
    await network.settle();
    b.exit(atom("bye"));
    await network.settle();
    expect(got).toEqual([tuple(EXIT, b.pid, atom("bye"))]);
  });

  it("to oneself is nothing", () => {
    const { left } = twoNodes();
    const process = left.table.spawn();
    process.link(process.pid);
    process.exit(atom("x"));
    expect(process.exitReason).toBe(atom("x"));
  });

  it("towards a peer without UNLINK_ID, an unlink is over at once", async () => {
    const { network, left, right } = twoNodes(HIDDEN_FULL & ~FLAG.UNLINK_ID);
    const { got, process: a } = collector(left, { trapExit: true });
    const { process: b } = collector(right, { trapExit: true });
    a.link(b.pid);
    await network.settle();
    a.unlink(b.pid);
    expect((a as Process & { links: Links }).links.size).toBe(0);
    await network.settle();
    b.exit(atom("later"));
    await network.settle();
    a.link(b.pid);
    await network.settle();
    expect(got).toEqual([tuple(EXIT, b.pid, atom("noproc"))]);
  });

  it("an unlink that waits for the connection together with its link leaves nothing behind", async () => {
    for (const flags of [HIDDEN_FULL, HIDDEN_FULL & ~FLAG.UNLINK_ID]) {
      const { network, left, right } = twoNodes(flags);
      network.autoConnect = false;
      const { process: a } = collector(left);
      const { process: b } = collector(right);
      a.link(b.pid);
      a.unlink(b.pid);
      network.connect(LEFT, RIGHT);
      await network.settle();
      b.exit(atom("crash"));
      await network.settle();
      expect(a.alive).toBe(true);
      expect((a as Process & { links: Links }).links.size).toBe(0);
    }
  });
});
