import { expect, it } from "vitest";
import { isDomainName, searchNames } from "../../src/dns/domain-name.ts";
import { readServerAddress, writeServerAddress } from "../../src/dns/server-address.ts";
import { canonicalAddress } from "../../src/node-names.ts";

it.each([
  ["shop", 1, ["shop.a.test", "shop.b.test", "shop"]],
  ["shop.", 1, ["shop"]],
  ["shop.ns", 1, ["shop.ns", "shop.ns.a.test", "shop.ns.b.test"]],
  ["shop.ns", 5, ["shop.ns.a.test", "shop.ns.b.test", "shop.ns"]],
  ["shop.ns.", 5, ["shop.ns"]],
  ["shop", 0, ["shop.a.test", "shop.b.test", "shop"]],
])("searches for %s with ndots %d as %j", (name, ndots, names) => {
  expect(searchNames(name, { search: ["a.test", "b.test."], ndots })).toEqual(names);
});

it("without a search list a name is tried as it is; suffixes that make it too long are left out", () => {
  expect(searchNames("shop", { search: [], ndots: 1 })).toEqual(["shop"]);
  const long = Array.from({ length: 6 }, () => "x".repeat(40)).join(".");
  expect(searchNames(long, { search: ["a.test", "abcdefghij.test"], ndots: 1 })).toEqual([
    long,
    `${long}.a.test`,
  ]);
});

it("knows what can be asked for", () => {
  for (const name of ["a", "a.b", "a.b.", "_app._tcp.shop", "xn--mnchen-3ya.de", `${"x".repeat(63)}.de`]) {
    expect(isDomainName(name), name).toBe(true);
  }
  for (const name of [
    "",
    ".",
    "a..b",
    ".a",
    "a b",
    "a@b",
    "münchen.de",
    "a\n",
    `${"x".repeat(64)}.de`,
    "a.".repeat(130),
  ]) {
    expect(isDomainName(name), name).toBe(false);
  }
});

it.each([
  ["10.0.0.10", "10.0.0.10:53"],
  ["10.0.0.10:5353", "10.0.0.10:5353"],
  ["fd00::10", "[fd00::10]:53"],
  ["[fd00::10]", "[fd00::10]:53"],
  ["[fd00::10]:5353", "[fd00::10]:5353"],
  ["fe80::1%eth0", "[fe80::1%eth0]:53"],
])("reads the server %s", (text, written) => {
  expect(writeServerAddress(readServerAddress(text)!)).toBe(written);
});

it.each([
  "",
  "dns.test",
  "dns.test:53",
  "10.0.0.10:0",
  "10.0.0.10:65536",
  "10.0.0.10:",
  "[10.0.0.10]:53",
  "1.2.3",
])("refuses %j as a server", (text) => {
  expect(readServerAddress(text)).toBeUndefined();
});

it("writes addresses as inet:ntoa does", () => {
  const ours = [
    "2604:A880:0800:0010:0000:0000:02DD:4001",
    "1:0:0:2:0:0:0:3",
    "0:0:0:0:0:0:0:1",
    "10.0.0.1",
    "host",
  ];
  expect(ours.map(canonicalAddress)).toEqual([
    "2604:a880:800:10::2dd:4001",
    "1:0:0:2::3",
    "::1",
    "10.0.0.1",
    "host",
  ]);
});
