import type { Socket } from "node:net";
import {
  connectTls,
  FLAG,
  HIDDEN_FULL,
  HIDDEN_PASS_THROUGH,
  MANDATORY_25,
  type RunOptions,
  runInitiator,
  simultaneousDecision,
} from "@isthmus/dist-handshake";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Beam, Epmd, installedOtps, tcp } from "./support/beam.ts";
import { hidden, OurNode, SilentNode } from "./support/our-node.ts";

const COOKIE = "monster";
const code = (expected: string) => expect.objectContaining({ code: expected });
/** Flags of a visible node, by release. */
const defaults: Readonly<Record<number, bigint>> = {
  23: 0x101df7fbdn,
  25: 0xd07df7fbdn,
  27: 0xd07df7fbdn,
  29: 0x6d07df7fbdn,
};

describe.each(installedOtps())("OTP $release", (otp) => {
  const { release } = otp;
  const since = release >= 26 ? 26 : release >= 25 ? 25 : 23;
  let epmd: Epmd;
  let beam: Beam;
  let port = 0;
  const open: { stop(): Promise<void> | void }[] = [];

  beforeAll(async () => {
    epmd = await Epmd.start();
    beam = await Beam.start({ otp, epmd, name: "m@127.0.0.1", cookie: COOKIE });
    port = await epmd.lookup("m");
  });
  afterEach(async () => {
    for (const one of open.splice(0)) await one.stop();
    await beam.until("nodes(connected).", "[]");
  });
  afterAll(async () => {
    await beam?.stop();
    await epmd?.stop();
  });

  const socket = async (): Promise<Socket> => {
    const made = await tcp(port);
    open.push({ stop: () => void made.destroy() });
    return made;
  };
  const dial = async (
    change: Partial<Omit<Parameters<typeof runInitiator>[1], keyof RunOptions>> = {},
    name = "us@127.0.0.1",
  ) => {
    const options = { local: hidden(name, [COOKIE]), peer: "m@127.0.0.1", ...change };
    const run = await runInitiator(await socket(), options);
    // it counts us as connected a little after its last message
    await beam.until(`lists:member('${run.outcome.localName}', nodes(connected)).`, "true");
    return run;
  };
  const listen = async (...args: Parameters<typeof OurNode.start> extends [Epmd, ...infer R] ? R : never) => {
    const node = await OurNode.start(epmd, ...args);
    open.push(node);
    return node;
  };
  const connectTo = (name: string) => beam.eval(`net_kernel:connect_node('${name}').`);

  it("is dialled and shows us as hidden", async () => {
    const { outcome } = await dial();
    expect(outcome).toMatchObject({
      peer: "m@127.0.0.1",
      localName: "us@127.0.0.1",
      localCreation: 4711,
      hidden: true,
      version: 6,
      replacesOld: false,
    });
    expect(outcome.peerFlags).toBe(defaults[release] ?? outcome.peerFlags);
    expect(outcome.flags).toBe(outcome.peerFlags & HIDDEN_FULL);
    expect(outcome.peerCreation).toBe(Number(await beam.eval("erts_internal:get_creation().")));
    await beam.until("{nodes(), nodes(hidden)}.", "{[],['us@127.0.0.1']}");
  });

  it("is dialled with the flags for pass-through", async () => {
    const { outcome } = await dial({
      local: hidden("us@127.0.0.1", [COOKIE], { flags: HIDDEN_PASS_THROUGH }),
    });
    expect(outcome.flags & (FLAG.DIST_HDR_ATOM_CACHE | FLAG.FRAGMENTS)).toBe(0n);
    await beam.until("nodes(hidden).", "['us@127.0.0.1']");
  });

  it("shows us among its visible nodes when we say so", async () => {
    const flags = HIDDEN_FULL | FLAG.PUBLISHED;
    expect((await dial({ local: hidden("us@127.0.0.1", [COOKIE], { flags }) })).outcome.hidden).toBe(false);
    await beam.until("{nodes(), nodes(hidden)}.", "{['us@127.0.0.1'],[]}");
  });

  it("dials us", async () => {
    const node = await listen(hidden("us@127.0.0.1", [COOKIE]));
    expect(await connectTo("us@127.0.0.1")).toBe("true");
    const arrival = await node.arrival();
    expect(arrival).toMatchObject({
      done: {
        outcome: {
          peer: "m@127.0.0.1",
          peerCreation: Number(await beam.eval("erts_internal:get_creation().")),
          hidden: true,
          version: 6,
        },
      },
    });
    await beam.until("{nodes(), nodes(hidden)}.", "{[],['us@127.0.0.1']}");
  });

  it("is refused, and refuses, when the cookies differ", async () => {
    await expect(dial({ local: hidden("us@127.0.0.1", ["wrong"]) })).rejects.toEqual(
      code("HANDSHAKE_COOKIE_REJECTED"),
    );
    const node = await listen(hidden("us@127.0.0.1", ["wrong"]));
    expect(await connectTo("us@127.0.0.1")).toBe("false");
    expect(await node.arrival()).toEqual({ error: code("HANDSHAKE_COOKIE_REJECTED") });
    await beam.until("nodes(connected).", "[]");
  });

  it("may use any of our cookies when it dials", async () => {
    const node = await listen(hidden("us@127.0.0.1", ["next", COOKIE]));
    expect(await connectTo("us@127.0.0.1")).toBe("true");
    expect(await node.arrival()).toMatchObject({ done: { outcome: { peer: "m@127.0.0.1" } } });
  });

  it("has another cookie for a node if it was told so", async () => {
    await beam.eval("erlang:set_cookie('apart@127.0.0.1', 'a part').");
    const cookies = ["a part"];
    expect((await dial({ local: hidden("apart@127.0.0.1", cookies) })).outcome.localName).toBe(
      "apart@127.0.0.1",
    );
  });

  it("is not taken for another node", async () => {
    await expect(dial({ peer: "n@127.0.0.1" })).rejects.toMatchObject({
      code: "HANDSHAKE_NAME_MISMATCH",
      context: { found: "m@127.0.0.1" },
    });
  });

  it("does not take us for another node", async () => {
    const node = await listen(hidden("us@127.0.0.1", [COOKIE]), {}, "alias@127.0.0.1");
    expect(await connectTo("alias@127.0.0.1")).toBe("false");
    expect(await node.arrival()).toEqual({ error: code("HANDSHAKE_CLOSED") });
  });

  it("gives us a name", async () => {
    const local = hidden("127.0.0.1", [COOKIE], { flags: HIDDEN_FULL | FLAG.NAME_ME, creation: 0 });
    const { outcome } = await dial({ local });
    expect(outcome.localName).toMatch(/^[0-9A-Z]+@127\.0\.0\.1$/);
    expect(outcome.localCreation).toBeGreaterThan(0);
    await beam.until("nodes(hidden).", `['${outcome.localName}']`);
  });

  it("takes a name from us", async () => {
    const node = await listen(hidden("us@127.0.0.1", [COOKIE]), {
      decide: (peer) => (peer.dynamic ? { named: `given@${peer.name}`, creation: 815 } : "not_allowed"),
    });
    const nameless = await Beam.start({ otp, epmd, name: "undefined@127.0.0.1", cookie: COOKIE });
    open.unshift(nameless);
    expect(await nameless.eval("net_kernel:connect_node('us@127.0.0.1').")).toBe("true");
    expect(await node.arrival()).toMatchObject({
      done: { outcome: { peer: "given@127.0.0.1", peerCreation: 815, hidden: true } },
    });
    expect(await nameless.eval("{node(), erts_internal:get_creation(), nodes(hidden)}.")).toBe(
      "{'given@127.0.0.1',815,['us@127.0.0.1']}",
    );
  });

  it("replaces a connection that we say is dead", async () => {
    const first = await socket();
    const local = hidden("us@127.0.0.1", [COOKIE]);
    await runInitiator(first, { local, peer: "m@127.0.0.1" });
    const { outcome } = await dial({
      onAlive: () => {
        // OTP 23 waits for the end of the old connection
        first.destroy();
        return true;
      },
    });
    expect(outcome.replacesOld).toBe(true);
    await beam.until("nodes(hidden).", "['us@127.0.0.1']");
  });

  it("keeps a connection that we say is alive", async () => {
    const first = await socket();
    await runInitiator(first, { local: hidden("us@127.0.0.1", [COOKIE]), peer: "m@127.0.0.1" });
    await expect(dial({ onAlive: () => false })).rejects.toEqual(code("HANDSHAKE_ALREADY_CONNECTED"));
    await beam.until("nodes(hidden).", "['us@127.0.0.1']");
    expect(first.destroyed).toBe(false);
  });

  it("goes on when we believe that it is connected", async () => {
    const node = await listen(hidden("us@127.0.0.1", [COOKIE]), { decide: () => "alive" });
    expect(await connectTo("us@127.0.0.1")).toBe("true");
    expect(await node.arrival()).toMatchObject({ done: { outcome: { replacesOld: true } } });
  });

  it.each(["a@127.0.0.1", "z@127.0.0.1"])(
    "settles a simultaneous attempt with %s as we would",
    async (name) => {
      const silent = await SilentNode.start(epmd, name);
      open.push(silent);
      const connecting = connectTo(name);
      await silent.called;
      const attempt = dial({}, name);
      if (simultaneousDecision("m@127.0.0.1", name) === "nok") {
        await expect(attempt).rejects.toEqual(code("HANDSHAKE_NOK"));
        await silent.stop();
        expect(await connecting).toBe("false");
      } else {
        expect((await attempt).outcome.peer).toBe("m@127.0.0.1");
        expect(await connecting).toBe("true");
      }
    },
  );

  it("refuses us without its mandatory flags, and the message names one", async () => {
    const poor = HIDDEN_FULL & ~FLAG.MANDATORY_25_DIGEST & ~FLAG.BIG_CREATION;
    const attempt = dial({ local: hidden("us@127.0.0.1", [COOKIE], { flags: poor }) });
    await expect(attempt).rejects.toMatchObject({
      code: "HANDSHAKE_FLAGS_REJECTED",
      context: { missing: ["BIG_CREATION"] },
    });
    const node = await listen(hidden("us@127.0.0.1", [COOKIE], { flags: poor }));
    expect(await connectTo("us@127.0.0.1")).toBe("false");
    expect(await node.arrival()).toEqual({ error: code("HANDSHAKE_CLOSED") });
  });

  it("demands what the table of mandatory flags says", async () => {
    const attempt = dial({ local: hidden("us@127.0.0.1", [COOKIE], { flags: MANDATORY_25 }) });
    if (since === 26) await expect(attempt).rejects.toEqual(code("HANDSHAKE_FLAGS_REJECTED"));
    else expect((await attempt).outcome.flags).toBe(MANDATORY_25);
  });

  it("is refused without flags that we require", async () => {
    const required = MANDATORY_25 | FLAG.V4_NC | FLAG.ALTACT_SIG;
    const node = await listen(hidden("us@127.0.0.1", [COOKIE]), { required });
    const accepted = release >= 28;
    expect(await connectTo("us@127.0.0.1")).toBe(String(accepted));
    expect(await node.arrival()).toMatchObject(
      accepted ? { done: {} } : { error: { code: "HANDSHAKE_FLAGS_REJECTED" } },
    );
  });

  it("takes the old name, except OTP 25.0 to 25.2", async () => {
    const attempt = dial({ epmdHighVersion: 5 });
    if (release === 25) {
      await attempt.then(
        ({ outcome }) => expect(outcome.version).toBe(6),
        (error) => expect(error).toEqual(code("HANDSHAKE_CLOSED")),
      );
    } else {
      expect((await attempt).outcome.flags).toBe(HIDDEN_FULL & (defaults[release] ?? HIDDEN_FULL));
    }
  });

  it("sends us the old name when it is OTP 23 or 24 and epmd says that we are old", async () => {
    const creations: number[] = [];
    const node = await listen(hidden("us@127.0.0.1", [COOKIE]), {
      highVersion: 5,
      decide: ({ creation }) => {
        creations.push(creation);
        return "ok";
      },
    });
    expect(await connectTo("us@127.0.0.1")).toBe("true");
    // the old form has none before its complement
    const itsOwn = Number(await beam.eval("erts_internal:get_creation()."));
    expect(creations).toEqual([release < 25 ? 0 : itsOwn]);
    expect(await node.arrival()).toMatchObject({
      done: {
        outcome: { peer: "m@127.0.0.1", version: 6, peerFlags: defaults[release] ?? expect.anything() },
      },
    });
  });

  it("does not answer TLS when it does not speak it", async () => {
    const attempt = connectTls(await socket(), { verify: false }, "m@127.0.0.1", { timeoutMs: 200 });
    await expect(attempt).rejects.toEqual(code("HANDSHAKE_TIMEOUT"));
  });

  it("refuses names that it does not allow", async () => {
    const strict = await Beam.start({ otp, epmd, name: "strict@127.0.0.1", cookie: COOKIE });
    open.push(strict);
    await strict.eval("net_kernel:allow(['friend@127.0.0.1']).");
    const to = await tcp(await epmd.lookup("strict"));
    const local = hidden("us@127.0.0.1", [COOKIE]);
    await expect(runInitiator(to, { local, peer: "strict@127.0.0.1" })).rejects.toEqual(
      code("HANDSHAKE_NOT_ALLOWED"),
    );
  });
});
