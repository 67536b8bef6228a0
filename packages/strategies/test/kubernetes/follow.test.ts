import type { Discovery } from "@isthmus/strategies";
import { describe, expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { Follower } from "../../src/kubernetes/follow.ts";
import { addressesOf } from "../../src/kubernetes/lookup.ts";
import { recordingLogger, settled } from "../support/fake-cluster.ts";
import { type ApiObject, slice } from "./objects.ts";

describe("many changes at once", () => {
  it("are one report, and each object is read once", async () => {
    const clock = new FakeClock();
    const reports: Discovery[] = [];
    const slices = Array.from({ length: 50 }, (_, i) =>
      slice(
        `shop-${i}`,
        Array.from({ length: 100 }, (__, j) => ({ ip: `10.0.${i}.${j}` })),
      ),
    );
    let tell: ((line: string) => void) | undefined;
    let reads = 0;
    let named = 0;
    const follower = new Follower(
      {
        self: "bridge@10.9.9.9",
        report: (discovery) => reports.push(discovery),
        logger: recordingLogger(),
        clock,
        signal: new AbortController().signal,
        compat: false,
      },
      {
        api: {
          namespace: async () => "default",
          json: async () => ({ metadata: { resourceVersion: "1" }, items: slices }),
          lines: (_path, _query, { signal }, onLine) => {
            tell = onLine;
            return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
          },
        },
        ...{ lookup: "endpoint_slices", selector: "app=shop", cached: false, watch: true },
        ...{ intervalMs: 5000, resyncMs: 600_000 },
        read: (object) => {
          reads += 1;
          return addressesOf("endpoint_slices", object, "ready", undefined);
        },
        names: (addresses) => {
          named += addresses.length;
          return addresses.map(({ ip }) => `shop@${ip}`);
        },
      },
    );
    await settled();
    expect([reports.length, reads, named]).toEqual([1, 50, 5000]);

    const event = (type: string, object: ApiObject): string => JSON.stringify({ type, object });
    for (let i = 0; i < 1000; i++)
      tell!(event("ADDED", slice(`new-${i}`, [{ ip: `10.1.${i >> 8}.${i & 255}` }])));
    for (let i = 0; i < 1000; i++)
      tell!(event("MODIFIED", slice("new-0", [{ ip: `10.2.${i >> 8}.${i & 255}` }])));
    expect([reports.length, reads, named]).toEqual([1, 50, 5000]);
    clock.advance(100);
    expect([reports.length, reads, named]).toEqual([2, 1050, 11_000]);

    tell!(event("DELETED", slice("new-0", [])));
    clock.advance(100);
    expect([reports.length, reads, named]).toEqual([3, 1050, 16_999]);
    await follower.stop();
    expect(clock.pending).toBe(0);
  });
});
