import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_HOSTS, parseHostsFile } from "../../src/erlang-hosts/hosts-file.ts";

const parse = (text: string): string[] => parseHostsFile(text, "/etc/.hosts.erlang");

describe("a .hosts.erlang", () => {
  it.each<[string, string, string[]]>([
    [
      "atoms, quoted and plain",
      "'db.example.org'.\nlocalhost.\nh1_A.\n",
      ["db.example.org", "localhost", "h1_A"],
    ],
    ["strings", '"10.0.0.5".\n', ["10.0.0.5"]],
    ["strings in parts", '"10.0" % and\n ".0.5".\n', ["10.0.0.5"]],
    ["comments and empty lines", "% ours\n\n  db1. % first\n%\ndb2 . %last", ["db1", "db2"]],
    ["several on a line", "db1. db2.\tdb3.\r\n", ["db1", "db2", "db3"]],
    ["no newline at the end", "db1.", ["db1"]],
    ["a dot on the next line", "db1\n.\n", ["db1"]],
    ["a comment before the dot", "db1 % one\n.", ["db1"]],
    ["IPv6 addresses", "'fd00::1'.\n", ["fd00::1"]],
    ["a percent sign in quotes", "'a%b'.\n", ["a%b"]],
    ["hosts that are there twice", "db1.\n'db1'.\n", ["db1"]],
    ["escapes", String.raw`'a\x62\x{63}\144\q'.`, ["abcdq"]],
    ["quotes", String.raw`'it\'s'. "say\"no".`, ["it's", 'say"no']],
    ["Unicode in quotes", "'żółw.example'. größe.\n", ["żółw.example", "größe"]],
    ["nothing", "", []],
    ["nothing but a comment", "% nobody", []],
  ])("may have %s", (_, text, hosts) => {
    expect(parse(text)).toEqual(hosts);
  });

  it.each<[string, string, number, RegExp]>([
    ["a host with dots but without quotes", "db1.\ndb.example.\n", 2, /in quotes/],
    ["a host with a dash but without quotes", "db-1.\n", 1, /in quotes/],
    ["no dot at the end", "db1.\n\ndb2", 3, /a dot/],
    ["no dot between", "db1\ndb2.\n", 2, /a dot/],
    ["an atom that is not ended", "db1.\n'db2.\n\n", 2, /not ended by '/],
    ["a string that is not ended", '"db1.\n', 1, /not ended by "/],
    ["a word with a meaning", "db1.\nend.\n", 2, /write it as 'end'/],
    ["a variable", "Db1.\n", 1, /must be a host/],
    ["a tuple", "{127,0,0,1}.\n", 1, /must be a host/],
    ["a number", "\n10.\n", 2, /must be a host/],
    ["an empty atom", "''.\n", 1, /not a host name/],
    ["a host with an @", "'app@db1'.\n", 1, /not a host name/],
    ["a host with a space", "'db 1'.\n", 1, /not a host name/],
    ["a host with a control character", String.raw`'db\n1'.`, 1, /not a host name/],
    ["a host that is too long", `'${"a".repeat(251)}'.`, 1, /not a host name/],
    ["an escape that is none", String.raw`'\x{}'.`, 1, /escape/],
    ["a character that does not exist", String.raw`'\x{110000}'.`, 1, /no such character/],
    ["half a character", String.raw`'\x{d800}'.`, 1, /no such character/],
    ["a backslash at the end", "'a\\", 1, /escape/],
  ])("must not have %s", (_, text, line, message) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({
        code: "DISCOVERY_FAILED",
        message: expect.stringMatching(message),
        context: { path: "/etc/.hosts.erlang", line },
      }),
    );
  });

  it("has a limit", () => {
    const hosts = (count: number) => Array.from({ length: count }, (_, i) => `h${i}.\n`).join("");
    expect(parse(hosts(MAX_HOSTS))).toHaveLength(MAX_HOSTS);
    expect(() => parse(hosts(MAX_HOSTS + 1))).toThrow(/more than 1024 hosts/);
  });

  it("of any text gives hosts, or an error with a code", () => {
    const text = fc.string({ unit: fc.constantFrom(..."ab1.'\"\\%\n {x}^7@ż"), maxLength: 30 });
    fc.assert(
      fc.property(text, (written) => {
        try {
          for (const host of parse(written)) expect(host).not.toBe("");
        } catch (error) {
          expect(error).toMatchObject({ code: "DISCOVERY_FAILED", context: { line: expect.any(Number) } });
        }
      }),
      { numRuns: 5000 },
    );
  });
});
