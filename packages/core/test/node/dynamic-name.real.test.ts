import { atom, Pid, tuple } from "@isthmus/etf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eachOtp } from "../../../../test/support/peers.ts";
import { startNode } from "../../src/node/node.ts";
import { BEAM, type BeamPair, startBeamPair } from "../calls/beam-pair.ts";

eachOtp("a node named by a BEAM", ({ otp }) => {
  let pair: BeamPair;
  beforeAll(async () => {
    pair = await startBeamPair(otp);
    await pair.beam.eval("isthmus_probe:orders(orders)");
  });
  afterAll(() => pair?.stop());

  describe("which we ask when we connect", () => {
    it("has that name, is hidden, calls and is called", async () => {
      const node = await startNode({
        name: { from: BEAM },
        cookie: "monster",
        epmd: { host: "127.0.0.1", port: pair.epmd.port },
      });
      try {
        expect(node.name).toMatch(/^[0-9A-Z]+@127\.0\.0\.1$/);
        expect(node.port).toBeUndefined();
        // the far side knows it a little later
        await expect.poll(() => pair.beam.eval(`lists:member('${node.name}', nodes(hidden))`)).toBe("true");
        expect(await pair.beam.eval(`lists:member('${node.name}', nodes())`)).toBe("false");
        const answer = await node.call({ name: "orders", node: BEAM }, tuple(atom("echo"), 1));
        expect(answer).toBe(1);
        const server = node.serve("adder", { call: (request) => Number(request) + 1 });
        expect(server.pid).toBeInstanceOf(Pid);
        expect(await pair.beam.eval(`gen_server:call({adder, '${node.name}'}, 41)`)).toBe("42");
        // the name stays when the connection is made anew
        const before = node.name;
        node.disconnect(BEAM);
        await node.connect(BEAM);
        expect(node.name).toBe(before);
        expect(await pair.beam.eval(`gen_server:call({adder, '${before}'}, 1)`)).toBe("2");
      } finally {
        await node.close();
      }
    });

    it("fails with a code when it cannot be asked", async () => {
      const start = startNode({
        name: { from: BEAM },
        cookie: "wrong",
        epmd: { host: "127.0.0.1", port: pair.epmd.port },
      });
      await expect(start).rejects.toMatchObject({ code: expect.stringMatching(/^HANDSHAKE_/) });
    });
  });
});
