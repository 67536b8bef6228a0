import { expect, it } from "vitest";
import { type Environment, proxyFromEnvironment, proxyUrl } from "../../src/trunk/http-proxy.ts";

const proxy = (url: string, environment: Environment): string | undefined =>
  proxyFromEnvironment(new URL(url), environment)?.href;

it("takes the proxy of the URL's kind, lower case first", () => {
  expect(proxy("wss://a.test/t", { HTTPS_PROXY: "http://p:1", HTTP_PROXY: "http://q:2" })).toBe(
    "http://p:1/",
  );
  expect(proxy("ws://a.test/t", { HTTPS_PROXY: "http://p:1", HTTP_PROXY: "http://q:2" })).toBe("http://q:2/");
  expect(proxy("wss://a.test/t", { HTTPS_PROXY: "http://p:1", https_proxy: "https://r" })).toBe("https://r/");
  expect(proxy("wss://a.test/t", { ALL_PROXY: "p:3128" })).toBe("http://p:3128/");
  expect(proxy("wss://a.test/t", { HTTPS_PROXY: "" })).toBeUndefined();
  expect(proxy("wss://a.test/t", {})).toBeUndefined();
});

it.each([
  ["*", true],
  ["a.test", true],
  [".test", true],
  ["*.test", true],
  ["TEST", true],
  ["b.test,a.test:443", true],
  ["a.test:444", false],
  ["xa.test", false],
  ["est", false],
  ["a.test.org", false],
  ["", false],
])("NO_PROXY %s", (list, excepted) => {
  expect(proxy("wss://a.test/t", { HTTPS_PROXY: "http://p", NO_PROXY: list }) === undefined).toBe(excepted);
});

it("NO_PROXY knows addresses", () => {
  const environment = (list: string): Environment => ({ HTTP_PROXY: "http://p", NO_PROXY: list });
  expect(proxy("ws://10.0.0.5:80/t", environment("10.0.0.5"))).toBeUndefined();
  expect(proxy("ws://[::1]/t", environment("::1"))).toBeUndefined();
  expect(proxy("ws://[::1]:81/t", environment("[::1]:80"))).toBe("http://p/");
});

it("refuses what is no proxy, without showing it", () => {
  for (const address of ["socks5://user:secret@p:1", "http://", "nonsense"]) {
    expect(() => proxyUrl(address)).toThrow(expect.objectContaining({ code: "TRUNK_OPTIONS_INVALID" }));
    expect(() => proxyUrl(address)).not.toThrow(/secret/);
  }
});
