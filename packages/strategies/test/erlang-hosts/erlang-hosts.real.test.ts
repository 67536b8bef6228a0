import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { expect, it } from "vitest";
import { eachOtp } from "../../../../test/support/peers.ts";
import { parseHostsFile } from "../../src/erlang-hosts/hosts-file.ts";

const FILES = 3000;

/** Texts near the syntax, so that many of them are right. */
const word = fc.oneof(
  fc.stringMatching(/^[a-z][a-zA-Z0-9_]{0,5}$/),
  fc.stringMatching(/^'[a-z0-9.:-]{1,8}'$/),
  fc.stringMatching(/^"[a-z0-9.:-]{1,8}"$/),
  fc.constantFrom("end", "receive", "let", "größe", "'żółw'", "X", "1", "[]", "{a}", "'a", "-"),
  fc.stringMatching(/^'a(\\[a-z'"\\0-7]|\\x[0-9a-f]{2}|\\x\{[0-9a-f]{1,5}\}|\\\^[A-Za-z]){1,2}'$/),
);
const gap = fc.constantFrom("", " ", "\n", "\t", "\r\n", " % x. 'y\n", "%\n", "\u00a0", "\u200b");
const end = fc.constantFrom(". ", ".\n", ".", ".%c\n", "\n.\n", ".\u00a0", "..", "", " ");
const text = fc
  .array(fc.tuple(gap, word, gap, end), { maxLength: 4 })
  .map((parts) => parts.map((part) => part.join("")).join(""))
  // OTP 27 wants a space between two strings, older ones do not
  .filter((written) => !written.includes('""'));

/** What we make of it, as the script below prints it. */
function ours(written: string): string {
  try {
    return parseHostsFile(written, "f").join(",");
  } catch {
    return "wrong";
  }
}

// a host must be usable in a node name, and each counts once: that is all that we ask beyond file:consult/1
const CONSULT = `
  [Folder, Count] = init:get_plain_arguments(),
  Usable = fun(H) -> H =/= [] andalso length(H) =< 250 andalso
    lists:all(fun(C) -> C > 32 andalso C =/= 127 andalso not lists:member(C, "@/\\\\") end, H) end,
  Host = fun(A) when is_atom(A) -> atom_to_list(A); (S) -> S end,
  Once = fun(L) -> lists:reverse(lists:foldl(fun(H, S) -> case lists:member(H, S) of true -> S; _ -> [H | S] end end, [], L)) end,
  Line = fun(N) ->
    case file:consult(filename:join(Folder, integer_to_list(N))) of
      {ok, Terms} ->
        Right = lists:all(fun(T) -> is_atom(T) orelse (T =/= [] andalso io_lib:char_list(T)) end, Terms),
        Hosts = [Host(T) || T <- Terms, Right],
        case Right andalso lists:all(Usable, Hosts) of
          true -> lists:join(",", Once(Hosts));
          false -> "wrong"
        end;
      {error, _} -> "wrong"
    end
  end,
  % many at once: each file is waited for several times
  Self = self(), Last = list_to_integer(Count),
  Workers = [spawn_link(fun() -> Self ! {self(), [[Line(N), "\\n"] || N <- lists:seq(First, min(First + 59, Last))]} end)
    || First <- lists:seq(1, Last, 60)],
  [receive {Worker, Lines} -> io:put_chars(Lines) end || Worker <- Workers],
  halt().`;

eachOtp("a .hosts.erlang is read as file:consult/1 reads it", ({ erl }) => {
  it(`${FILES} files, right and wrong`, { timeout: 600_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), "isthmus-consult-"));
    try {
      const texts = fc.sample(text, FILES);
      await Promise.all(texts.map((written, i) => writeFile(join(folder, String(i + 1)), written)));
      const args = [
        "-noinput",
        "+pc",
        "unicode",
        "-eval",
        `ok = io:setopts([{encoding, unicode}]), ${CONSULT}`,
      ];
      const { stdout } = await promisify(execFile)(erl, [...args, "-extra", folder, String(FILES)], {
        env: { ...process.env, LC_ALL: "C.UTF-8" },
        maxBuffer: 1 << 26,
      });
      const theirs = stdout.split("\n").slice(0, FILES);
      const differing = texts
        .map((written, i) => ({ written, ours: ours(written), theirs: theirs[i] }))
        .filter((one) => one.ours !== one.theirs);
      expect(differing.slice(0, 5)).toEqual([]);
      expect(theirs.filter((line) => line !== "wrong").length).toBeGreaterThan(FILES / 10);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
