import { silentLogger, systemClock } from "@isthmus/wire";
import { expect, it } from "vitest";
import { Bridge } from "../../src/bridge.ts";

it("a cluster that is said to have nodes of OTP 23 is narrow from the beginning, others are not", () => {
  const cluster = { node: "bridge@127.0.0.1", cookie: "secret" };
  const clusters = { old: { ...cluster, narrow: true }, new: cluster, wide: { ...cluster, narrow: false } };
  const bridge = new Bridge({ clusters, routes: [] }, silentLogger, systemClock);
  expect(Object.keys(clusters).map((id) => bridge.router(id).index.narrow)).toEqual([true, false, false]);
});
