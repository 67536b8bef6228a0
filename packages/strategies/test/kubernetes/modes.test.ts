import { describe, expect, it } from "vitest";
import { apiUrl } from "../../src/kubernetes/address.ts";
import { hostOf } from "../../src/kubernetes/modes.ts";

const address = { ip: "10.244.1.17", namespace: "prod", hostname: "shop-0", service: "shop" };
const domain = "cluster.local";

describe("hosts in node names", () => {
  it.each([
    ["ip", "10.244.1.17"],
    ["dns", "10-244-1-17.prod.pod.cluster.local"],
    ["hostname", "shop-0.shop.prod.svc.cluster.local"],
  ] as const)("by %s", (mode, host) => {
    expect(hostOf(address, { mode, domain })).toBe(host);
  });

  it("are in the cluster's own domain", () => {
    expect(hostOf(address, { mode: "dns", domain: "k8s.example" })).toBe("10-244-1-17.prod.pod.k8s.example");
  });

  it("are of IPv6 addresses too", () => {
    const six = { ...address, ip: "fd00:10:244::11" };
    expect(hostOf(six, { mode: "ip", domain })).toBe("fd00:10:244::11");
    expect(hostOf(six, { mode: "dns", domain })).toBe("fd00-10-244--11.prod.pod.cluster.local");
  });

  it("have the service that is asked for instead of the object's", () => {
    expect(hostOf(address, { mode: "hostname", domain, serviceName: "other" })).toBe(
      "shop-0.other.prod.svc.cluster.local",
    );
  });

  it("are none where a part of them is missing", () => {
    const { hostname: _, ...unnamed } = address;
    const { service: __, ...alone } = address;
    expect(hostOf(unnamed, { mode: "hostname", domain })).toBeUndefined();
    expect(hostOf(alone, { mode: "hostname", domain })).toBeUndefined();
  });
});

describe("where the API is", () => {
  const url = (master: string | undefined, env = {}) => apiUrl({ master, domain }, env).href;

  it.each([
    ["kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local/"],
    ["kubernetes.default.svc.cluster.local", "https://kubernetes.default.svc.cluster.local/"],
    ["api.example.com.", "https://api.example.com./"],
    ["kubernetes.default.svc:6443", "https://kubernetes.default.svc.cluster.local:6443/"],
    ["10.96.0.1", "https://10.96.0.1/"],
    ["10.96.0.1:6443", "https://10.96.0.1:6443/"],
    ["fd00::1", "https://[fd00::1]/"],
    ["[fd00::1]:6443", "https://[fd00::1]:6443/"],
    ["https://api.example.com:6443", "https://api.example.com:6443/"],
    ["http://127.0.0.1:8001", "http://127.0.0.1:8001/"],
  ])("%s is %s", (master, expected) => {
    expect(url(master)).toBe(expected);
  });

  it("is told to every container, unless an option says it", () => {
    const env = { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "6443" };
    expect(url(undefined, env)).toBe("https://10.96.0.1:6443/");
    expect(url(undefined, { KUBERNETES_SERVICE_HOST: "fd00::1" })).toBe("https://[fd00::1]/");
    expect(url("api.example.com.", env)).toBe("https://api.example.com./");
    expect(url(undefined)).toBe("https://kubernetes.default.svc.cluster.local/");
  });

  it.each([
    "",
    "a b",
    "host:port",
    "https://",
    "https://host/path",
    "https://host/?q",
    "host/path",
    "ftp://host",
  ])("cannot be %j", (master) => {
    expect(() => url(master)).toThrow(
      expect.objectContaining({
        code: "STRATEGY_OPTIONS_INVALID",
        context: expect.objectContaining({ option: "master" }),
      }),
    );
  });

  it("has no password in it, and a refusal does not show one", () => {
    expect(() => url("https://me:s3cret@host")).toThrow(/^(?!.*s3cret)/);
    expect(() => url("me:s3cret@host")).toThrow(/^(?!.*s3cret)/);
  });
});
