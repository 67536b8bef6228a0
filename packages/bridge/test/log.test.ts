import { Cookie } from "@isthmus/dist-handshake";
import { IsthmusError } from "@isthmus/wire";
import { describe, expect, it } from "vitest";
import { createLogger, type LogOptions, printable, readable } from "../src/log.ts";

function logTo(options: Partial<LogOptions> & { isTTY?: boolean } = {}) {
  const lines: string[] = [];
  const { isTTY = false, ...rest } = options;
  const stream = { isTTY, write: (line: string) => lines.push(line) };
  return { lines, logger: createLogger({ level: "info", format: "auto", env: {}, stream, ...rest }) };
}

describe("the log in JSON", () => {
  it("is one object a line", () => {
    const { lines, logger } = logTo();
    logger.info({ cluster: "shop", port: 1, list: [1, "a"] }, "cluster identity is up");
    logger.debug({}, "not at this level");
    logger.warn({}, "second");
    expect(lines.length).toBe(2);
    expect(lines[0]).toMatch(/^\{.*\}\n$/);
    const { time, ...rest } = JSON.parse(lines[0]!) as Record<string, unknown>;
    expect(time).toBe(new Date(String(time)).toISOString());
    expect(rest).toEqual({
      level: "info",
      cluster: "shop",
      port: 1,
      list: [1, "a"],
      msg: "cluster identity is up",
    });
  });

  it("is silent when told", () => {
    const { lines, logger } = logTo({ level: "silent" });
    logger.error({}, "anything");
    expect(lines).toEqual([]);
  });

  it("keeps codes, context and causes of errors", () => {
    const { lines, logger } = logTo();
    const cause = new Error("no route to host");
    logger.error(
      { err: new IsthmusError("NO_CONNECTION", "No way.", { cause, context: { node: "a@h" } }) },
      "failed",
    );
    expect(JSON.parse(lines[0]!)).toMatchObject({
      err: {
        code: "NO_CONNECTION",
        context: { node: "a@h" },
        message: expect.stringMatching(/^No way\..*no route to host/),
        stack: expect.stringContaining("log.test.ts"),
      },
    });
  });

  it("takes what JSON does not", () => {
    const { lines, logger } = logTo();
    const circle: Record<string, unknown> = { n: 2n ** 70n };
    circle["self"] = circle;
    logger.info({ circle }, "odd");
    expect(JSON.parse(lines[0]!)).toMatchObject({ circle: { n: String(2n ** 70n) } });
  });

  it.each(["json", "pretty"] as const)("never has a secret: %s", (format) => {
    const { lines, logger } = logTo({ format });
    const cookie = Cookie.of("s3cret");
    const error = Object.assign(new Error("went wrong"), {
      cookie: "s3cret",
      context: { authToken: "s3cret" },
    });
    logger.error(
      {
        cookie: "s3cret",
        COOKIE: "s3cret",
        value: cookie,
        deep: { list: [{ shop_cookie: "s3cret", password: ["s3cret"], privateKey: "s3cret" }] },
        config: { clusters: { shop: { node: "a@h", cookie } } },
        err: error,
        other: error,
      },
      "look",
    );
    expect(lines.length).toBe(1);
    expect(lines[0]).not.toContain("s3cret");
    expect(lines[0]).toContain("[hidden]");
    expect(lines[0]).toContain("[cookie]");
  });
});

describe("the readable log", () => {
  const line = (fields: object) =>
    JSON.stringify({ level: "warn", time: "2026-01-02T03:04:05.006Z", msg: "node disconnected", ...fields });
  const local = (() => {
    const time = new Date("2026-01-02T03:04:05.006Z");
    return `${time.toTimeString().slice(0, 8)}.006`;
  })();

  it("is time, level, message and fields", () => {
    expect(
      readable(line({ cluster: "shop", n: 3, ok: false, empty: "", two: "two words", map: { a: 1 } }), false),
    ).toBe(
      `${local} warn  node disconnected cluster=shop n=3 ok=false empty="" two="two words" map={"a":1}\n`,
    );
  });

  it("ends with the stack of an error", () => {
    const text = readable(line({ err: { message: "no", stack: "Error: no\n    at here" } }), false);
    expect(text).toBe(`${local} warn  node disconnected\nError: no\n    at here\n`);
  });

  it("lets nobody steer the terminal", () => {
    const evil = "a\u001b[2Jb\u009bc\r\nd\u2028";
    const text = readable(line({ msg: evil, node: evil, err: { stack: evil } }), false);
    expect(text.trimEnd().split("\n").length).toBe(3);
    expect(text.replaceAll("\n", "")).toBe(printable(text.replaceAll("\n", "")));
    expect(printable("büro ✓ 🙂")).toBe("büro ✓ 🙂");
  });

  it.each([
    [{ format: "auto", isTTY: true }, "colour"],
    [{ format: "auto", isTTY: true, env: { NO_COLOR: "1" } }, "plain"],
    [{ format: "auto", isTTY: true, env: { NO_COLOR: "no" } }, "plain"],
    [{ format: "auto", isTTY: true, env: { NO_COLOR: "" } }, "colour"],
    [{ format: "auto", isTTY: true, env: { TERM: "dumb" } }, "plain"],
    [{ format: "auto", isTTY: false }, "json"],
    [{ format: "pretty", isTTY: false }, "plain"],
    [{ format: "pretty", isTTY: true }, "colour"],
    [{ format: "json", isTTY: true }, "json"],
  ] as const)("%j is %s", (options, expected) => {
    const { lines, logger } = logTo(options);
    logger.info({ a: 1 }, "hello");
    const [first] = lines;
    const found = first!.startsWith("{") ? "json" : first!.includes("\u001b[") ? "colour" : "plain";
    expect(found).toBe(expected);
    expect(first!.endsWith("\n")).toBe(true);
  });
});
