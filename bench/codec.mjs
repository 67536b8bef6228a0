// The project's codec for the codec benchmark: decode gives what encode takes.
import { decode as decodeTerm, encode as encodeTerm } from "@isthmus/etf";

export const name = "@isthmus/etf";
export const encode = (term) => encodeTerm(term);
export const decode = (bytes) => decodeTerm(bytes);
