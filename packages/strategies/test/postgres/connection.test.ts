import { EventEmitter } from "node:events";
import { postgres } from "@isthmus/strategies/postgres";
import { systemClock } from "@isthmus/wire";
import { describe, expect, it } from "vitest";
import { type Pg, postgresConnections, quoteIdentifier } from "../../src/postgres/connection.ts";
import { heartbeat, PAYLOAD_FORMATS, parsePayload } from "../../src/postgres/payload.ts";

const signal = new AbortController().signal;
const events = { heard: () => undefined, lost: () => undefined };

it("says which package is missing", async () => {
  const open = postgresConnections({}, "cluster", () => import(/* @vite-ignore */ `pg-${"missing"}`));
  await expect(open(events, systemClock, signal)).rejects.toMatchObject({
    code: "PEER_DEPENDENCY_MISSING",
    message: expect.stringContaining("npm install pg"),
    context: { package: "pg" },
  });
});

it("tells why the server ends it, also when that is the answer to a query; an error of a query is no end", async () => {
  const emitter = new EventEmitter();
  let answer: Error | undefined;
  class Client {
    connect = async () => undefined;
    end = async () => undefined;
    on = (event: string, listener: (error: Error) => void) => emitter.on(event, listener);
    query = async () => {
      if (answer !== undefined) throw answer;
    };
  }
  const lost: unknown[] = [];
  const open = postgresConnections({}, "cluster", async () => ({ Client }) as unknown as Pg);
  const connection = await open({ ...events, lost: (error) => lost.push(error) }, systemClock, signal);
  answer = Object.assign(new Error("payload string too long"), { severity: "ERROR", code: "22023" });
  await expect(connection.send("x")).rejects.toBe(answer);
  expect(lost).toEqual([]);
  answer = Object.assign(new Error("terminating connection"), { severity: "FATAL", code: "57P01" });
  await expect(connection.send("x")).rejects.toBe(answer);
  // what the package says afterwards
  emitter.emit("error", new Error("Connection terminated unexpectedly"));
  emitter.emit("end");
  expect(lost).toEqual([answer]);
});

it.each([
  ["cluster", '"cluster"'],
  ['a"b', '"a""b"'],
  ['"; DROP TABLE x --', '"""; DROP TABLE x --"'],
])("quotes the channel %j", (name, quoted) => {
  expect(quoteIdentifier(name)).toBe(quoted);
});

describe("payloads", () => {
  it.each(PAYLOAD_FORMATS)("what is sent as %s is understood", (format) => {
    expect(parsePayload(heartbeat(format, "a@h"))).toEqual({ type: "alive", node: "a@h" });
  });

  it.each([
    "",
    "a",
    "@h",
    "a@",
    "a@b@c",
    "goodbye:",
    "heartbeat:",
    "heartbeat::a",
    "a b@h",
    "a@h\n",
    `a@${"h".repeat(300)}`,
  ])("%j is none", (payload) => {
    expect(parsePayload(payload)).toBeUndefined();
  });
});

describe("options", () => {
  it.each([
    [{ hostname: "h", username: "u", database: "d" }],
    [{ host: "h", user: "u" }],
    [{ socket_dir: "/run/postgresql" }],
    [{ url: "postgresql://u@h/d", channel_name: "x", heartbeat_interval: "5000", missed_heartbeats: 3 }],
    [{ ssl: "true" }],
    [{ ssl: { rejectUnauthorized: false } }],
  ])("takes %j", (options) => {
    expect(postgres.from(options)).toHaveProperty("start");
  });

  it.each([
    [{ url: "https://u:s3cret@h" }],
    [{ url: "postgres://u:s3cret@h", port: 5432 }],
    [{ channel_name: "x".repeat(64) }],
    [{ channel_name: "" }],
    [{ channel_name: "a\0" }],
    [{ ssl: 1 }],
    [{ password: ["s3cret"] }],
  ])("refuses %j", (options) => {
    expect(() => postgres.from(options)).toThrow(
      expect.objectContaining({ code: "STRATEGY_OPTIONS_INVALID" }),
    );
    expect(() => postgres.from(options)).not.toThrow("s3cret");
  });
});
