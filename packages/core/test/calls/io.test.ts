import { atom, BitString, Float, ImproperList, type Term, tuple } from "@isthmus/etf";
import { describe, expect, it } from "vitest";
import { charsText, formatText } from "../../src/calls/io-format.ts";
import { collector, twoNodes } from "../process/network.ts";

const chars = (text: string): Term => Array.from(text, (char) => char.codePointAt(0) as number);
const ok = atom("ok");

describe("io_lib:format", () => {
  // expected texts are what OTP 25 gives, but for the space after commas
  it.each([
    ["hello~n", [], "hello\n"],
    ["~~ ~c~c", [65, 0x20ac], "~ A€"],
    ["~3c|", [66], "BBB|"],
    ["~s|~ts", [chars("abc"), Buffer.from("žluť")], "abc|žluť"],
    ["~s", [Buffer.from([0xe9])], "é"],
    ["~s", [atom("an_atom")], "an_atom"],
    ["~10s|~-10s|", [chars("ab"), chars("cd")], "        ab|cd        |"],
    ["~5.3s|~.2s|", [chars("abcdef"), chars("abcdef")], "  abc|ab|"],
    ["~3s|", [chars("abcdef")], "abc|"],
    ["~5w|~2w|~-4w|", [1, 12345, 7], "    1|**|7   |"],
    ["~4..0w", [42], "0042"],
    ["~*w|", [5, 1], "    1|"],
    ["~b ~.16b ~.16B ~.2b", [10, 255, 255, -5], "10 ff FF -101"],
    ["~.16# ~.16+", [255, 255], "16#FF 16#ff"],
    ["~.16x", [255, chars("0x")], "0xff"],
    ["~f ~.2f", [new Float(1), 2.71], "1.000000 2.71"],
    ["~e", [1.5], "1.50000e+0"],
    [
      "~g ~g ~g ~g ~.3g",
      [0.5, new Float(0), 9999.5, 123456.5, 12.5],
      "0.500000 0.00000e+0 9999.50 1.23457e+5 12.5",
    ],
    ["~i~w", [1, 2], "2"],
    ["~p ~w", [tuple(ok, atom("Up")), [atom("a")]], "{ok,'Up'} [a]"],
    ["~p ~w", [chars("ab"), chars("ab")], '"ab" [97,98]'],
    ["~p ~w", ["ab", "ab"], '<<"ab">> <<97,98>>'],
    ["~p", [new ImproperList([1, 2], 3)], "[1,2|3]"],
    ["~p", [new Map([[1, tuple(2, 3)]])], "#{1 => {2,3}}"],
    ["~P", [atom("x"), 5], "x"],
  ] as readonly [string, readonly Term[], string][])("%s", (format, args, expected) => {
    expect(formatText(chars(format), args)).toBe(expected);
    expect(formatText(Buffer.from(format), args)).toBe(expected);
    expect(formatText(atom(format), args)).toBe(expected);
  });

  it.each([
    ["~w", []],
    ["none", [1]],
    ["~s", [1.5]],
    ["~s", [[atom("a")]]],
    ["~c", [-1]],
    ["~f", [atom("a")]],
    ["~b", [1.5]],
    ["~q", [1]],
    ["~*w", [10 ** 9, 1]],
    ["~999999999w", [1]],
    ["~b", [new BitString(Buffer.from([128]), 1)]],
  ] as readonly [string, readonly Term[]][])("%s with what does not fit is refused", (format, args) => {
    expect(() => formatText(chars(format), args)).toThrow();
  });

  it("text may be lists in lists, improper ones and binaries; not too deep", () => {
    expect(
      charsText([104, [105, Buffer.from(" there")], new ImproperList([33], Buffer.from("!"))], false),
    ).toBe("hi there!!");
    let deep: Term = 104;
    for (let i = 0; i < 2000; i++) deep = [deep];
    expect(() => charsText(deep, false)).toThrow();
  });
});

describe("the io server", () => {
  async function ask(...requests: Term[]): Promise<{ answers: Term[]; text: string }> {
    const { network, left, right } = twoNodes();
    const texts: string[] = [];
    const server = left.table.serveIo({ write: (text) => void texts.push(text) });
    const { got, process } = collector(right);
    requests.forEach((request, n) => {
      process.send(server.pid, tuple(atom("io_request"), process.pid, n, request));
    });
    process.send(server.pid, tuple(atom("io_request"), 1, 2, 3));
    await network.settle();
    expect(server.alive).toBe(true);
    return {
      answers: got.map((message) => (message as ReturnType<typeof tuple>).elements[2] as Term),
      text: texts.join(""),
    };
  }
  const put = atom("put_chars");
  const unicode = atom("unicode");
  const error = (what: Term): Term => tuple(atom("error"), what);

  it("writes what it is told", async () => {
    const { answers, text } = await ask(
      tuple(put, unicode, Buffer.from("ä")),
      tuple(put, atom("latin1"), Buffer.from([0xe4])),
      tuple(put, chars("old")),
      tuple(put, unicode, atom("io_lib"), atom("format"), [chars(" ~w~n"), [1]]),
      tuple(put, unicode, atom("io_lib"), atom("write"), [tuple(1)]),
      tuple(put, unicode, atom("io_lib"), atom("nl"), []),
      tuple(atom("requests"), [tuple(put, unicode, chars("a")), tuple(put, unicode, chars("b"))]),
    );
    expect(answers).toEqual([ok, ok, ok, ok, ok, ok, ok]);
    expect(text).toBe("ääold 1\n{1}\nab");
  });

  it("says what it cannot do", async () => {
    const bad = tuple(put, unicode, [chars("x"), atom("no")]);
    const { answers, text } = await ask(
      bad,
      tuple(put, unicode, atom("os"), atom("cmd"), [chars("x")]),
      atom("what"),
      5,
      tuple(),
      atom("getopts"),
      tuple(atom("setopts"), []),
      tuple(atom("get_line"), unicode, chars("> ")),
      tuple(atom("requests"), [bad, tuple(put, unicode, chars("never"))]),
      tuple(atom("requests"), 1),
    );
    const request = error(atom("request"));
    expect(answers).toEqual([
      error(bad),
      request,
      request,
      request,
      request,
      [],
      error(atom("enotsup")),
      atom("eof"),
      error(bad),
      request,
    ]);
    expect(text).toBe("");
  });

  it("a sink that throws is the printing process's error", async () => {
    const { network, left } = twoNodes();
    const server = left.table.serveIo({
      write: () => {
        throw new Error("disk full");
      },
    });
    const { got, process } = collector(left);
    process.send(server, tuple(atom("io_request"), process.pid, 1, tuple(put, unicode, [])));
    await network.settle();
    expect(got).toEqual([tuple(atom("io_reply"), 1, error(tuple(put, unicode, [])))]);
  });

  it("is the default group leader, and what comes is given to the table's sink, or logged", async () => {
    const texts: string[] = [];
    const { network, left } = twoNodes(undefined, { io: { write: (text) => void texts.push(text) } });
    const logging = network.node("logging@h", 33);
    for (const node of [left, logging]) {
      const process = node.table.spawn();
      process.send(
        process.groupLeader,
        tuple(atom("io_request"), process.pid, 1, tuple(put, unicode, chars("hey"))),
      );
    }
    await network.settle();
    expect(texts).toEqual(["hey"]);
    expect(logging.log).toEqual([expect.objectContaining({ level: "info", fields: { text: "hey" } })]);
  });
});
