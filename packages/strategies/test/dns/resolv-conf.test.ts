import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { parseResolvConf, ResolvConfFile } from "../../src/dns/resolv-conf.ts";

let folders: string[] = [];
afterEach(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
  folders = [];
});

function file(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "resolv-"));
  folders.push(folder);
  const path = join(folder, "resolv.conf");
  writeFileSync(path, text);
  return path;
}

it("reads what a pod in Kubernetes has", () => {
  const conf = parseResolvConf(
    "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n",
  );
  expect(conf).toEqual({
    servers: [{ host: "10.96.0.10", port: 53 }],
    search: ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"],
    ndots: 5,
    timeoutMs: undefined,
    attempts: undefined,
  });
});

it("reads every form, and passes over what it does not know", () => {
  const conf = parseResolvConf(
    [
      "# comment",
      "; comment",
      "nameserver fe80::1%eth0 # trailing",
      "nameserver\t10.0.0.1",
      "nameserver example.test",
      "domain old.test",
      "search  new.test\tother.test. ",
      "sortlist 130.155.160.0",
      "options edns0 timeout:1 attempts:99 ndots:0 rotate ndots:x",
      "",
    ].join("\r\n"),
  );
  expect(conf).toEqual({
    servers: [
      { host: "fe80::1%eth0", port: 53 },
      { host: "10.0.0.1", port: 53 },
    ],
    search: ["new.test", "other.test."],
    ndots: 0,
    timeoutMs: 1000,
    attempts: 5,
  });
});

it("has bounds", () => {
  const many = Array.from({ length: 100 }, (_, i) => `nameserver 10.0.0.${i}`).join("\n");
  expect(parseResolvConf(`${many}\noptions timeout:999 attempts:0`)).toMatchObject({
    servers: { length: 8 },
    timeoutMs: 30_000,
    attempts: 1,
  });
  expect(parseResolvConf("search .")).toMatchObject({ search: [] });
});

it("is read again when it was changed or replaced", async () => {
  const path = file("nameserver 10.0.0.1\n");
  const conf = new ResolvConfFile(path);
  const first = await conf.read();
  expect(first.servers).toEqual([{ host: "10.0.0.1", port: 53 }]);
  expect(await conf.read(), "not read again without need").toBe(first);
  writeFileSync(path, "nameserver 10.0.0.2\nsearch a.test\n");
  expect(await conf.read()).toMatchObject({ servers: [{ host: "10.0.0.2" }], search: ["a.test"] });
  renameSync(file("nameserver 10.0.0.3\nsearch a.test\n"), path);
  expect(await conf.read()).toMatchObject({ servers: [{ host: "10.0.0.3" }] });
});

it("without the file, or without servers in it, takes those that Node.js knows", async () => {
  const path = file("search a.test\n");
  const { servers, search } = await new ResolvConfFile(path).read();
  expect(search).toEqual(["a.test"]);
  expect(await new ResolvConfFile(`${path}.missing`).read()).toMatchObject({ servers, search: [] });
});

it("is an error when it cannot be read, or is far too long", async () => {
  const path = file(`#${"x".repeat(70_000)}\n`);
  await expect(new ResolvConfFile(path).read()).rejects.toMatchObject({
    code: "DISCOVERY_FAILED",
    context: { path },
  });
  await expect(new ResolvConfFile(join(path, "..")).read()).rejects.toMatchObject({
    code: "DISCOVERY_FAILED",
  });
});
