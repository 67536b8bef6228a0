export { type Identity, type IdentityTranslator, rewriteTerm, skipTerm } from "./rewrite.ts";
