import { type Beam, startBeam } from "../../../../test/support/beam.ts";
import { type Epmd, startEpmd } from "../../../../test/support/epmd.ts";
import type { Otp } from "../../../../test/support/otp.ts";
import { type HiddenNode, startNode } from "../../src/node/node.ts";
import type { NodeOptions } from "../../src/node/options.ts";

/** A real BEAM, `beam@127.0.0.1`, and a node of ours, `js@127.0.0.1`, in one cluster. */
export interface BeamPair {
  readonly epmd: Epmd;
  readonly beam: Beam;
  readonly node: HiddenNode;
  /** Another node of ours in the same cluster. */
  another(name: string): Promise<HiddenNode>;
  stop(): Promise<void>;
}

export const BEAM = "beam@127.0.0.1";
export const JS = "js@127.0.0.1";

export async function startBeamPair(otp: Otp["otp"], options: Partial<NodeOptions> = {}): Promise<BeamPair> {
  const epmd = await startEpmd({ otp });
  const beam = await startBeam({ name: BEAM, cookie: "monster", epmdPort: epmd.port, otp });
  const start = (name: string): Promise<HiddenNode> =>
    startNode({
      name,
      cookie: "monster",
      listen: { host: "127.0.0.1" },
      epmd: { host: "127.0.0.1", port: epmd.port },
      ...options,
    });
  const node = await start(JS);
  return {
    epmd,
    beam,
    node,
    another: start,
    async stop() {
      await node.close();
      await beam.stop();
      await epmd.stop();
    },
  };
}
