import { silentLogger } from "@isthmus/wire";
import { describe, expect, it } from "vitest";
import { EventSubscribers } from "../src/cluster/event-subscribers.ts";
import { EventHub } from "../src/events.ts";
import { recordingLogger, settled } from "./support/fake-cluster.ts";

interface Event {
  readonly type: string;
}
const event = (type: string | number): Event => ({ type: String(type) });

/** Reads so many events, or to the end. */
async function read(stream: AsyncIterator<Event>, most = Infinity): Promise<unknown[]> {
  const found: unknown[] = [];
  while (found.length < most) {
    const { done, value } = await stream.next();
    if (done === true) return [...found, "end"];
    found.push("dropped" in value ? value : value.type);
  }
  return found;
}

describe("a stream of events", () => {
  it("gives every event in order, to each stream, whether it is read before or after", async () => {
    const hub = new EventHub<Event>(silentLogger);
    const [one, other] = [hub.stream({}), hub.stream({})];
    const first = one.next();
    for (const n of [1, 2, 3]) hub.emit(event(n));
    expect(await first).toEqual({ done: false, value: { type: "1" } });
    hub.close();
    expect(await read(one)).toEqual(["2", "3", "end"]);
    expect(await read(other)).toEqual(["1", "2", "3", "end"]);
  });

  it("ends with its signal, also in the middle of a read, and with the loop that reads it", async () => {
    const hub = new EventHub<Event>(silentLogger);
    const abort = new AbortController();
    const seen: string[] = [];
    const reading = (async () => {
      for await (const { type } of hub.stream({ signal: abort.signal })) seen.push(type);
    })();
    hub.emit(event("a"));
    await settled();
    abort.abort();
    await reading;
    for await (const { type } of hub.stream({}, [event("first"), event("second")])) {
      seen.push(type);
      break;
    }
    hub.emit(event("nobody reads this"));
    expect(seen).toEqual(["a", "first"]);
    for await (const _ of hub.stream({ signal: abort.signal })) throw new Error("aborted before");
  });

  it("drops the oldest when its reader is slow, and says how many", async () => {
    const hub = new EventHub<Event>(silentLogger);
    const stream = hub.stream({ limit: 3 });
    for (let n = 1; n <= 1000; n++) hub.emit(event(n));
    expect(await read(stream, 4)).toEqual([{ type: "overflow", dropped: 997 }, "998", "999", "1000"]);
    hub.emit(event(1001));
    hub.close();
    hub.emit(event(1002));
    expect(await read(stream)).toEqual(["1001", "end"]);
  });

  it("gives waiting readers their events in turn, and ends them all", async () => {
    const hub = new EventHub<Event>(silentLogger);
    const stream = hub.stream({});
    const reads = [stream.next(), stream.next(), stream.next()];
    hub.emit(event(1));
    hub.emit(event(2));
    hub.close();
    expect((await Promise.all(reads)).map(({ value }) => value?.type)).toEqual(["1", "2", undefined]);
  });
});

describe("subscribers to events", () => {
  function make(limit = 10) {
    const delivered: string[] = [];
    const watched = new Map<string, () => void>();
    const logger = recordingLogger();
    const subscribers = new EventSubscribers<{ readonly pid: string }, string>({
      key: ({ pid }) => pid,
      deliver: ({ pid }, what) => void delivered.push(`${pid} ${what}`),
      watch: ({ pid }, gone) => {
        if (pid === "dead") gone();
        watched.set(pid, gone);
        return () => watched.delete(pid);
      },
      limit,
      logger,
    });
    return { subscribers, delivered, watched, logger };
  }

  it("get each event once, until they unsubscribe or end", () => {
    const { subscribers, delivered, watched } = make();
    for (const pid of ["a", "b", "a"]) expect(subscribers.subscribe({ pid })).toBe(true);
    subscribers.publish("one");
    expect(delivered).toEqual(["a one", "b one"]);
    watched.get("a")!();
    expect(subscribers.unsubscribe({ pid: "a" })).toBe(false);
    expect(subscribers.unsubscribe({ pid: "b" })).toBe(true);
    expect(watched.has("b")).toBe(false);
    subscribers.publish("two");
    expect(delivered.length).toBe(2);
    expect(subscribers.size).toBe(0);
  });

  it("that are gone when they subscribe are not kept", () => {
    const { subscribers } = make();
    expect(subscribers.subscribe({ pid: "dead" })).toBe(false);
    expect(subscribers.size).toBe(0);
  });

  it("are refused when there are too many, and forgotten at the end", () => {
    const { subscribers, watched, logger } = make(1);
    subscribers.subscribe({ pid: "a" });
    expect(subscribers.subscribe({ pid: "b" })).toBe(false);
    expect(logger.lines).toMatchObject([{ level: "warn", fields: { limit: 1, subscriber: "b" } }]);
    subscribers.close();
    expect([subscribers.size, watched.size]).toEqual([0, 0]);
  });
});
