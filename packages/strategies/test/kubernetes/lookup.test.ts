import { describe, expect, it } from "vitest";
import { addressesOf, type Condition, LOOKUPS, onePerPod } from "../../src/kubernetes/lookup.ts";
import { type ApiObject, endpoints, pod, slice } from "./objects.ts";

const ips = (
  lookup: (typeof LOOKUPS)[number],
  object: ApiObject,
  condition: Condition = "ready",
  family?: 4 | 6,
): string[] => addressesOf(lookup, object, condition, family).map(({ ip }) => ip);

describe("addresses in Endpoints", () => {
  const object = endpoints("shop", [
    { ip: "10.244.1.17", pod: "shop-0", hostname: "shop-0" },
    { ip: "10.244.2.9", pod: "shop-1", ready: false },
  ]);

  it("are those that are ready, with what names are made of", () => {
    expect(addressesOf("endpoints", object, "ready", undefined)).toEqual([
      { ip: "10.244.1.17", namespace: "default", hostname: "shop-0", service: "shop", pod: "shop-0" },
    ]);
  });

  it("are also the others when readiness does not count", () => {
    expect(ips("endpoints", object, "serving")).toEqual(["10.244.1.17"]);
    expect(ips("endpoints", object, "running")).toEqual(["10.244.1.17", "10.244.2.9"]);
    expect(ips("endpoints", object, "any")).toEqual(["10.244.1.17", "10.244.2.9"]);
  });

  it("may have been written by hand, without a pod", () => {
    const external = endpoints("shop", [{ ip: "192.0.2.7", target: false }], { namespace: "prod" });
    expect(addressesOf("endpoints", external, "ready", undefined)).toMatchObject([
      { ip: "192.0.2.7", namespace: "prod", pod: undefined },
    ]);
  });

  it("are none in a service without pods", () => {
    expect(ips("endpoints", endpoints("shop", []))).toEqual([]);
  });
});

describe("addresses in EndpointSlices", () => {
  const object = slice("shop-x7k2p", [
    { ip: "10.244.1.1", hostname: "shop-0" },
    { ip: "10.244.1.2", ready: false },
    { ip: "10.244.1.3", ready: false, serving: true, terminating: true },
    { ip: "10.244.1.4", ready: false, terminating: true },
  ]);

  it.each([
    ["ready", ["10.244.1.1"]],
    ["serving", ["10.244.1.1", "10.244.1.3"]],
    ["running", ["10.244.1.1", "10.244.1.2"]],
    ["any", ["10.244.1.1", "10.244.1.2", "10.244.1.3", "10.244.1.4"]],
  ] as const)("that are %s", (condition, expected) => {
    expect(ips("endpoint_slices", object, condition)).toEqual(expected);
  });

  it("know their service by its label", () => {
    expect(addressesOf("endpoint_slices", object, "ready", undefined)[0]).toMatchObject({
      hostname: "shop-0",
      service: "shop",
      namespace: "default",
    });
  });

  it("count as ready when nothing is said of it", () => {
    const old = { metadata: { name: "s", namespace: "default" }, endpoints: [{ addresses: ["10.0.0.1"] }] };
    for (const condition of ["ready", "serving", "running", "any"] as const) {
      expect(addressesOf("endpoint_slices", old, condition, undefined)).toHaveLength(1);
    }
  });

  it("are the first of each endpoint, and no host names", () => {
    const two = slice("s", []) as Record<string, unknown>;
    const endpointsOfIt = [{ addresses: ["10.0.0.1", "10.0.0.2"] }, { addresses: ["db.example.com"] }];
    expect(ips("endpoint_slices", { ...two, endpoints: endpointsOfIt } as unknown as ApiObject)).toEqual([
      "10.0.0.1",
    ]);
  });
});

describe("addresses of pods", () => {
  it.each([
    ["running and ready", {}, ["ready", "serving", "running", "any"]],
    ["running, not ready", { ready: false }, ["running", "any"]],
    ["being deleted, still ready", { terminating: true }, ["serving", "any"]],
    ["being deleted, no longer ready", { terminating: true, ready: false }, ["any"]],
    ["pending with an address", { phase: "Pending", ready: false }, ["any"]],
    ["finished", { phase: "Succeeded", ready: false }, ["any"]],
    ["failed", { phase: "Failed", ready: false }, ["any"]],
    ["without an address", { ip: undefined, phase: "Pending", ready: false }, []],
  ])("%s", (_title, options, counts) => {
    const conditions = ["ready", "serving", "running", "any"] as const;
    expect(conditions.filter((one) => ips("pods", pod("shop-0", options), one).length === 1)).toEqual(counts);
  });

  it("have the host name and service of a StatefulSet", () => {
    const object = pod("shop-0", { hostname: "shop-0", subdomain: "shop" });
    expect(addressesOf("pods", object, "ready", undefined)).toEqual([
      { ip: "10.244.1.17", namespace: "default", hostname: "shop-0", service: "shop", pod: "shop-0" },
    ]);
  });

  it("are of the family that is wanted, if the pod has it", () => {
    const both = pod("shop-0", { ip: "10.244.1.17", ips: ["10.244.1.17", "fd00:10:244:1::11"] });
    expect(ips("pods", both)).toEqual(["10.244.1.17"]);
    expect(ips("pods", both, "ready", 6)).toEqual(["fd00:10:244:1::11"]);
    expect(ips("pods", pod("shop-0"), "ready", 6)).toEqual(["10.244.1.17"]);
  });
});

describe("one address for each pod", () => {
  const four = addressesOf(
    "endpoint_slices",
    slice("four", [{ ip: "10.0.0.1", pod: "shop-0" }]),
    "ready",
    undefined,
  );
  const six = addressesOf(
    "endpoint_slices",
    slice("six", [{ ip: "fd00::1", pod: "shop-0" }]),
    "ready",
    undefined,
  );

  it("is IPv4 unless the other is wanted, whichever comes first", () => {
    for (const both of [
      [...four, ...six],
      [...six, ...four],
    ]) {
      expect(onePerPod(both).map(({ ip }) => ip)).toEqual(["10.0.0.1"]);
      expect(onePerPod(both, 6).map(({ ip }) => ip)).toEqual(["fd00::1"]);
    }
  });

  it("is the one there is", () => {
    expect(onePerPod(six)).toEqual(six);
    expect(onePerPod([...four, ...four])).toEqual(four);
  });

  it("leaves addresses without a pod alone", () => {
    const object = slice("s", [
      { ip: "192.0.2.1", target: false },
      { ip: "192.0.2.2", target: false },
    ]);
    expect(onePerPod(addressesOf("endpoint_slices", object, "ready", undefined))).toHaveLength(2);
  });
});

describe("what is not as the API documents it", () => {
  const wrong: readonly unknown[] = [
    null,
    true,
    7,
    "",
    "x",
    [],
    [[]],
    {},
    { a: 1 },
    [null],
    [7],
    ["x"],
    [{}],
  ];

  /** Every object in which one value, anywhere, is another. */
  function* spoiled(value: unknown): Generator<unknown> {
    yield* wrong;
    if (typeof value !== "object" || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      for (const other of spoiled(inner)) {
        yield Array.isArray(value)
          ? value.map((one, i) => (String(i) === key ? other : one))
          : { ...value, [key]: other };
      }
    }
  }

  const objects = {
    endpoints: endpoints("shop", [{ ip: "10.0.0.1", hostname: "shop-0" }]),
    pods: pod("shop-0", { hostname: "shop-0", subdomain: "shop" }),
    endpoint_slices: slice("shop-x7k2p", [{ ip: "10.0.0.1", hostname: "shop-0" }]),
  };

  it.each(LOOKUPS)("is left out of %s, and never thrown over", (lookup) => {
    let cases = 0;
    for (const object of spoiled(objects[lookup])) {
      cases += 1;
      const known = typeof object === "object" && object !== null ? (object as ApiObject) : ({} as ApiObject);
      for (const { ip, namespace, hostname, service } of addressesOf(lookup, known, "ready", undefined)) {
        expect(ip).toMatch(/^10\.(0\.0\.1|244\.1\.17)$/);
        expect(namespace).toMatch(/^[a-z]+$/);
        for (const label of [hostname, service]) expect(label ?? "none").toMatch(/^[-a-z0-9]+$/);
      }
    }
    expect(cases).toBeGreaterThan(200);
  });

  it.each(["10.0.0.1@evil", "10.0.0", "evil.example", "10.0.0.1\n", "../x", "a b"])(
    "has %j as an address",
    (ip) => {
      expect(ips("endpoints", endpoints("shop", [{ ip }]))).toEqual([]);
      expect(ips("endpoint_slices", slice("shop", [{ ip }]))).toEqual([]);
      expect(ips("pods", pod("shop-0", { ip }))).toEqual([]);
    },
  );

  it.each(["Shop", "shop.evil", "-shop", "shop@x", "", "x".repeat(64)])(
    "has %j as a host name",
    (hostname) => {
      const [found] = addressesOf(
        "endpoints",
        endpoints("shop", [{ ip: "10.0.0.1", hostname }]),
        "ready",
        undefined,
      );
      expect(found).toMatchObject({ ip: "10.0.0.1", hostname: undefined });
    },
  );
});
