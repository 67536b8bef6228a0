import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { format, inspect } from "node:util";
import { Cookie, cookieFiles, digest } from "@isthmus/dist-handshake";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

describe("a cookie", () => {
  it("never shows its text", () => {
    const cookie = Cookie.of("s3cr3tword");
    const shown = [
      String(cookie),
      `${cookie}`,
      JSON.stringify({ cookie }),
      inspect(cookie, { showHidden: true, depth: 9 }),
      inspect({ deep: [cookie] }, { showHidden: true, depth: 9, customInspect: false }),
      format("%s %o %O %j", cookie, cookie, cookie, cookie),
      Object.getOwnPropertyNames(cookie).join(),
    ];
    for (const text of shown) {
      expect(text).not.toContain("s3cr3t");
      expect(text).not.toContain(Buffer.from("s3cr3t").toString("hex"));
    }
    expect(inspect(cookie)).toBe("[cookie]");
    expect(String(cookie)).toBe("[cookie]");
    expect(JSON.stringify([cookie])).toBe('["[cookie]"]');
  });

  it("has 1 to 255 Latin-1 characters", () => {
    expect(() => Cookie.of("é".repeat(255))).not.toThrow();
    for (const wrong of ["", "x".repeat(256), "ж-secret", "secret-😀"]) {
      expect(() => Cookie.of(wrong)).toThrowError(expect.objectContaining({ code: "COOKIE_INVALID" }));
    }
  });

  it("is not in the error about it", () => {
    try {
      Cookie.of("ж-secret");
    } catch (error) {
      expect(inspect(error)).not.toContain("-secret");
    }
  });
});

describe("a cookie file", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "isthmus-cookie-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const file = (content: string | Buffer, mode = 0o400) => {
    const path = join(folder, `cookie-${Math.random()}`);
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  };
  const same = (left: Cookie, right: string) => expect(digest(1, left)).toEqual(digest(1, Cookie.of(right)));
  const code = (expected: string) => expect.objectContaining({ code: expected });

  it("is read without what follows the line", () => {
    for (const end of ["", "\n", "\r\n", "\n\n \r\n"]) same(Cookie.fromFile(file(`ABC${end}`)), "ABC");
    same(Cookie.fromFile(file("with blank \n")), "with blank ");
  });

  it("of others is refused, unless told otherwise", () => {
    for (const mode of [0o440, 0o404, 0o640, 0o610, 0o601]) {
      expect(() => Cookie.fromFile(file("ABC", mode))).toThrowError(code("COOKIE_FILE_PERMISSIONS"));
    }
    for (const mode of [0o400, 0o600, 0o700]) same(Cookie.fromFile(file("ABC", mode)), "ABC");
    same(Cookie.fromFile(file("ABC", 0o644), { checkPermissions: false }), "ABC");
  });

  it("with anything else in it is refused, and not shown", () => {
    for (const wrong of ["", "\n", "AB\nC", "AB\tC", "ABé", Buffer.from([65, 0, 66]), "x".repeat(256)]) {
      expect(() => Cookie.fromFile(file(wrong))).toThrowError(code("COOKIE_INVALID"));
    }
    try {
      Cookie.fromFile(file("secret\nsecret"));
    } catch (error) {
      expect(inspect(error)).not.toContain("secret");
    }
  });

  it("must be a regular file of reasonable size; links are followed", () => {
    mkdirSync(join(folder, "folder"));
    const link = join(folder, "link");
    symlinkSync(file("ABC\n"), link);
    same(Cookie.fromFile(link), "ABC");
    for (const wrong of [join(folder, "folder"), join(folder, "none"), file("x\n".padEnd(2000))]) {
      expect(() => Cookie.fromFile(wrong)).toThrowError(code("COOKIE_FILE_UNREADABLE"));
    }
  });

  it("is looked for where OTP looks", () => {
    expect(cookieFiles("/home/x", {})).toEqual([
      "/home/x/.erlang.cookie",
      "/home/x/.config/erlang/.erlang.cookie",
    ]);
    expect(cookieFiles("/home/x", { XDG_CONFIG_HOME: "/etc/x" })[1]).toBe("/etc/x/erlang/.erlang.cookie");
  });
});
