import { describe, expect, it } from "vitest";
import { createLogger } from "../src/log.ts";

function logged(
  options: Partial<Parameters<typeof createLogger>[0]>,
  isTTY = false,
): { lines: string[]; logger: ReturnType<typeof createLogger> } {
  const lines: string[] = [];
  const stream = { isTTY, write: (line: string) => lines.push(line) };
  return { lines, logger: createLogger({ level: "info", format: "auto", stream, env: {}, ...options }) };
}

describe("the log", () => {
  it("is one JSON object a line where nobody watches", () => {
    const { lines, logger } = logged({});
    logger.warn({ node: "a@h" }, "node disconnected");
    logger.debug({}, "not shown");
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { level: 40, time: expect.stringMatching(/^\d{4}-/), node: "a@h", msg: "node disconnected" },
    ]);
  });

  it("is readable on a terminal, with colours unless they are unwanted", () => {
    const plain = logged({ env: { NO_COLOR: "yes" } }, true);
    plain.logger.info({ cluster: "shop", reason: "it is gone" }, "node disconnected");
    expect(plain.lines[0]).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} info {2}node disconnected cluster=shop reason="it is gone"\n$/,
    );
    const coloured = logged({}, true);
    coloured.logger.error({}, "x");
    expect(coloured.lines[0]).toContain("\u001b[31merror\u001b[0m");
  });

  it("never shows a secret that stands under its name", () => {
    const { lines, logger } = logged({});
    logger.info({ cookie: "crumbs", cluster: { cookie: "crumbs" }, token: "crumbs" }, "x");
    expect(lines.join()).not.toContain("crumbs");
  });
});
