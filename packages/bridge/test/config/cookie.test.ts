import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Cookie } from "@isthmus/dist-handshake";
import { afterEach, beforeEach, expect, it } from "vitest";
import { loadConfig } from "../../src/config/config.ts";
import { ownCluster, refusalOf } from "./support.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "isthmus-config-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(path: string, text: string, mode = 0o400): string {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
}

/** Loads a configuration whose first cluster has this cookie, given as YAML. */
async function load(cookie: string, env: Readonly<Record<string, string>> = {}): Promise<Cookie> {
  const file = write(
    "etc/isthmus.yaml",
    `clusters:\n  a:\n    cookie: ${cookie}\n    node: a@h\n  b: { node: b@h, cookie: other }\n`,
    0o644,
  );
  return ownCluster((await loadConfig(file, { env })).clusters, "a").cookie as Cookie;
}

/** The message with which {@link load} fails. */
async function refusal(cookie: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const message = await refusalOf(load(cookie, env));
  expect(message).not.toBe("");
  return message;
}

function digestOf(cookie: Cookie): string {
  const hash = createHash("sha256");
  cookie.addTo(hash);
  return hash.digest("hex");
}

const MONSTER = digestOf(Cookie.of("monster"));

it.each([
  ["relative to the configuration", () => "../secrets/a"],
  ["absolute", () => join(folder, "secrets/a")],
  ["in the home folder", () => "~/secrets/a"],
  ["from the environment", () => '"${SECRETS}/a"'],
])("a cookie file is read, %s", async (_where, path) => {
  write("secrets/a", "monster\n");
  const env = { HOME: folder, SECRETS: join(folder, "secrets") };
  expect(digestOf(await load(`{ file: ${path()} }`, env))).toBe(MONSTER);
});

it("a cookie file that others can read is refused, unless it is said that they may", async () => {
  const file = write("secret", "s3cret-of-all\n", 0o440);
  const message = await refusal("{ file: ../secret }");
  expect(message).toContain(`etc/isthmus.yaml:3:13: clusters.a.cookie is of no use.`);
  expect(message).toContain(`chmod 400 ${file}`);
  expect(message).not.toContain("s3cret");
  expect(digestOf(await load("{ file: ../secret, check_permissions: false }"))).toBe(
    digestOf(Cookie.of("s3cret-of-all")),
  );
});

it("a cookie file that is not there is told with the other problems", async () => {
  const message = await refusal("{ file: ../none }\n    tick_time: 0");
  expect(message).toContain("has 2 problems");
  expect(message).toMatch(/3:13: clusters\.a\.cookie is of no use\. .*none .*cannot be opened/);
  expect(message).toContain("  3 |     cookie: { file: ../none }\n");
  expect(message).toContain("4:16: clusters.a.tick_time must be");
});

it("a cookie file that holds no cookie is refused without showing what it holds", async () => {
  write("secret", "s3cret\nand more\n");
  const message = await refusal("{ file: ../secret }");
  expect(message).toContain("must hold one line of printable ASCII");
  expect(message).not.toContain("s3cret");
});

it("the home folder is looked into as OTP does", async () => {
  const config = write("home/.config/erlang/.erlang.cookie", "monster");
  const env = { HOME: join(folder, "home") };
  expect(digestOf(await load("{ home: true }", env))).toBe(MONSTER);
  write("home/.erlang.cookie", "first");
  expect(digestOf(await load("{ home: true }", env))).toBe(digestOf(Cookie.of("first")));
  // one that is there and of no use is not passed over
  chmodSync(join(folder, "home/.erlang.cookie"), 0o644);
  expect(await refusal("{ home: true }", env)).toContain(`chmod 400 ${join(folder, "home/.erlang.cookie")}`);
  rmSync(join(folder, "home/.erlang.cookie"));
  chmodSync(config, 0o604);
  expect(await refusal("{ home: true }", env)).toContain(`chmod 400 ${config}`);
  rmSync(config);
  expect(await refusal("{ home: true }", env)).toMatch(/home\/\.erlang\.cookie .*cannot be opened/);
});

it.each([
  ["none", "there is no such file"],
  ["", "it is a folder"],
])("a configuration that cannot be read says so: %j", async (name, why) => {
  await expect(loadConfig(join(folder, name), { env: {} })).rejects.toThrow(
    expect.objectContaining({ code: "CONFIG_UNREADABLE", message: expect.stringContaining(why) }),
  );
});
