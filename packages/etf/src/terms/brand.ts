/** Marks the classes of terms: any object may have a field `kind`, and only these are told apart by it. */
export const TERM: unique symbol = Symbol("term");
