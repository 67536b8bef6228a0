import * as etf from "@isthmus/etf";
import * as erlangJs from "@isthmus/etf/erlang-js";
import * as raw from "@isthmus/etf/raw";
import { expect, it } from "vitest";

it("exports what it promises", () => {
  expect(Object.keys(etf).sort()).toEqual([
    "Atom",
    "BitString",
    "DEFAULT_TERM_LIMITS",
    "ETF_ERROR_CODES",
    "ExportFun",
    "Float",
    "Fun",
    "ImproperList",
    "LocalTerm",
    "NativeRecord",
    "Pid",
    "Port",
    "Reference",
    "TermMap",
    "TermReader",
    "TermWriter",
    "Tuple",
    "atom",
    "compareTerms",
    "compareTermsExact",
    "decode",
    "decodePrefix",
    "encode",
    "equals",
    "fromJs",
    "inspectTerm",
    "internedAtomCount",
    "kindOf",
    "parseTerm",
    "toJs",
    "tuple",
  ]);
  expect(Object.keys(raw).sort()).toEqual([
    "TermStream",
    "atomFromUtf8",
    "internWeakly",
    "isDecodable",
    "isNarrow",
    "rewriteTerm",
    "skipTerm",
  ]);
  expect(Object.keys(erlangJs)).toEqual(["erlangJs"]);
});
