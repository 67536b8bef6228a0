import { startFormation } from "@isthmus/bridge";
import type { Discovery } from "@isthmus/strategies";
import type { Logger } from "@isthmus/wire";
import { expect, it } from "vitest";
import { parseFormConfig } from "../../packages/bridge/src/form/config.ts";
import { type Beam, startBeam } from "../support/beam.ts";
import { startEpmd } from "../support/epmd.ts";
import { eachOtp } from "../support/peers.ts";

const patiently = { timeout: 30_000, interval: 20 };

eachOtp(
  "isthmus form, while it holds a removal back",
  ({ otp }) => {
    it.each([
      ["is stopped", (_beam: Beam): Promise<void> => Promise.resolve()],
      ["loses its local node", (beam: Beam): Promise<void> => beam.kill()],
    ])("%s, and takes what that ends for no failure", async (_what, ending) => {
      const mapper = await startEpmd();
      const beams: Beam[] = [];
      for (const name of ["a", "b", "c"])
        beams.push(
          await startBeam({ name: `${name}@127.0.0.1`, cookie: "mesh", epmdPort: mapper.port, otp }),
        );
      const lines: { readonly level: string; readonly message: string }[] = [];
      const note =
        (level: string): Logger["info"] =>
        (_fields, message) =>
          void lines.push({ level, message });
      const logger = {
        debug: note("debug"),
        info: note("info"),
        warn: note("warn"),
        error: note("error"),
      } as Logger;
      const config = await parseFormConfig(
        `node: { name: a@127.0.0.1, cookie: mesh, epmd: { port: ${mapper.port} } }
topologies: { main: { strategy: epmd, config: { hosts: [b@127.0.0.1] }, removal: immediately } }
`,
        { file: "form.yaml", env: {} },
      );
      let report = (_found: Discovery): void => undefined;
      const strategy = () => ({
        start: (context: { report: (found: Discovery) => void }) => {
          report = context.report;
          report({ ok: true, nodes: ["b@127.0.0.1", "c@127.0.0.1"] });
        },
        stop: async () => undefined,
      });
      const topologies = { main: { ...config.topologies["main"]!, strategy } };
      const formation = await startFormation({ ...config, topologies }, { logger });
      const said = (message: string): boolean => lines.some((line) => line.message.includes(message));
      try {
        await expect.poll(() => formation.complete, patiently).toBe(true);
        // b and c have found each other by a
        await expect
          .poll(() => beams[1]!.eval("lists:sort(nodes())"), patiently)
          .toBe("['a@127.0.0.1','c@127.0.0.1']");
        report({ ok: true, nodes: ["c@127.0.0.1"] });
        await expect.poll(() => said("discovery names a node no more that is up"), patiently).toBe(true);
        await ending(beams[0]!);
        if (!beams[0]!.running)
          await expect.poll(() => said("the connection to the local node is lost"), patiently).toBe(true);
      } finally {
        await formation.stop();
        for (const beam of beams) await beam.stop();
        await mapper.stop();
      }
      expect(lines.filter(({ level }) => level === "debug").map(({ message }) => message)).toContain(
        "The node b@127.0.0.1 could not be disconnected.",
      );
      const loud = lines.filter(({ level }) => level === "warn" || level === "error");
      expect(loud.filter(({ message }) => message.includes("could not be disconnected"))).toEqual([]);
    });
  },
  [25, 27],
);
