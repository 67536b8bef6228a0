import { describe, expect, it } from "vitest";
import { Inventory } from "../../src/kubernetes/inventory.ts";
import type { JsonObject } from "../../src/kubernetes/json.ts";
import { list } from "../../src/kubernetes/list.ts";
import { addressesOf } from "../../src/kubernetes/lookup.ts";
import { endpoints, pod, slice } from "./objects.ts";

const selection = { lookup: "endpoint_slices", namespace: "default", selector: "app=shop" } as const;
const options = { cached: false, signal: new AbortController().signal };
const readSlice = (object: JsonObject) => addressesOf("endpoint_slices", object, "ready", undefined);

describe("pages", () => {
  it("may be empty before the last", async () => {
    const pages: readonly object[] = [
      { metadata: { continue: "b" }, items: [] },
      { metadata: { continue: "c" }, items: [slice("one", [{ ip: "10.0.0.1" }])] },
      { metadata: { resourceVersion: "7" }, items: [] },
    ];
    let asked = 0;
    const inventory = new Inventory(readSlice);
    const listed = await list({ json: async () => pages[asked++] }, selection, options, () =>
      inventory.newList(),
    );
    expect(listed.version).toBe("7");
    inventory.replace(listed.objects);
    expect(inventory.addresses()).toHaveLength(1);
  });

  it("without end are a failure", async () => {
    let asked = 0;
    const api = { json: async () => ({ metadata: { continue: `${asked++}` }, items: [] }) };
    await expect(list(api, selection, options, () => ({ put: () => undefined }))).rejects.toMatchObject({
      code: "DISCOVERY_FAILED",
    });
    expect(asked).toBe(1000);
  });
});

describe("the inventory", () => {
  const filled = () => {
    const inventory = new Inventory(readSlice);
    const first = inventory.newList();
    first.put(slice("a", [{ ip: "10.0.0.1" }]));
    inventory.replace(first);
    return inventory;
  };
  const ips = (inventory: Inventory) => inventory.addresses().map(({ ip }) => ip);

  it("tells whether what has changed matters", () => {
    const inventory = filled();
    inventory.put(slice("a", [{ ip: "10.0.0.1" }], { labels: { turn: "2" } }));
    expect(inventory.settle()).toBe(false);
    inventory.put(slice("a", [{ ip: "10.0.0.2" }]));
    expect(inventory.settle()).toBe(true);
    expect(inventory.settle()).toBe(false);
    inventory.remove(slice("b", []));
    expect(inventory.settle()).toBe(false);
    inventory.remove(slice("a", []));
    expect(inventory.settle()).toBe(true);
    expect(ips(inventory)).toEqual([]);
  });

  it("knows objects by namespace and name", () => {
    const inventory = filled();
    inventory.put(slice("a", [{ ip: "10.0.0.9" }], { namespace: "other" }));
    inventory.settle();
    expect(ips(inventory)).toEqual(["10.0.0.1", "10.0.0.9"]);
  });

  it("forgets what a new list does not have, and what came before it", () => {
    const inventory = filled();
    inventory.put(slice("b", [{ ip: "10.0.0.2" }]));
    inventory.replace(inventory.newList());
    expect(inventory.settle()).toBe(false);
    expect(ips(inventory)).toEqual([]);
  });
});

describe("the work", () => {
  /** A copy of which every look at a property, however deep, is counted. */
  function counted<T extends object>(value: T, count: () => void): T {
    return new Proxy(value, {
      get(target, key, receiver) {
        if (typeof key === "string") count();
        const inner: unknown = Reflect.get(target, key, receiver);
        return typeof inner === "object" && inner !== null ? counted(inner, count) : inner;
      },
    });
  }

  /** Looks that it takes to list `addresses` addresses in slices of 100, and then to take in `events` changes. */
  function looks(addresses: number, events: number): { readonly list: number; readonly changes: number } {
    let total = 0;
    const count = (): void => {
      total += 1;
    };
    const inventory = new Inventory(readSlice);
    const found = inventory.newList();
    for (let i = 0; i < addresses / 100; i++) {
      const targets = Array.from({ length: 100 }, (_, j) => ({ ip: `10.${i >> 8}.${i & 255}.${j}` }));
      found.put(counted(slice(`shop-${i}`, targets), count));
    }
    inventory.replace(found);
    expect(inventory.addresses()).toHaveLength(addresses);
    const afterList = total;
    for (let i = 0; i < events; i++) {
      inventory.put(counted(slice(`new-${i}`, [{ ip: `10.200.${i >> 8}.${i & 255}` }]), count));
      inventory.settle();
    }
    expect(inventory.addresses()).toHaveLength(addresses + events);
    return { list: afterList, changes: total - afterList };
  }

  it("of a list grows with its length", () => {
    expect(looks(5000, 0).list).toBeLessThan(looks(500, 0).list * 10.5);
  });

  it("of changes grows with their number, and not with what there is", () => {
    const few = looks(500, 100).changes;
    expect(looks(5000, 1000).changes).toBeLessThan(few * 10.5);
  });

  it("of an object that changes a thousand times at once is that of its last state", () => {
    let total = 0;
    const inventory = new Inventory((object) => {
      total += 1;
      return addressesOf("endpoints", object, "ready", undefined);
    });
    for (let i = 0; i < 1000; i++) inventory.put(endpoints("shop", [{ ip: `10.0.${i >> 8}.${i & 255}` }]));
    expect(inventory.settle()).toBe(true);
    expect(total).toBe(1);
    expect(inventory.addresses().map(({ ip }) => ip)).toEqual(["10.0.3.231"]);
  });

  it("keeps nothing of an object but its addresses", () => {
    const inventory = new Inventory((object) => addressesOf("pods", object, "running", undefined));
    const found = inventory.newList();
    found.put(pod("shop-0"));
    expect([...found.known.values()]).toEqual([[expect.objectContaining({ ip: "10.244.1.17" })]]);
  });
});
