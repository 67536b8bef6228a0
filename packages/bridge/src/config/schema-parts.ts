import { isIsthmusError, parseNodeName } from "@isthmus/wire";
import * as v from "valibot";

// Each message is the rest of a sentence that begins with the key. What valibot says by itself is for programmers.

/** True for what YAML calls a map. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A map with these keys. */
export const map = <const T extends v.ObjectEntries>(entries: T) =>
  v.pipe(
    v.custom<Record<string, unknown>>(isRecord, "must be a map: keys with values."),
    v.strictObject(entries),
  );

/** A map with any keys. */
export const anyMap = v.custom<Record<string, unknown>>(isRecord, "must be a map: keys with values.");

/** Text that is not empty. */
export const text = (what: string) =>
  v.pipe(v.string(`must be ${what}.`), v.nonEmpty(`must be ${what}, and is empty.`));

/** A whole number, also as a text: that is what an environment variable gives. */
export const whole = (what: string, min: number, max: number) => {
  const message = `must be ${what}, ${min} to ${max}.`;
  return v.pipe(
    v.union([v.number(), v.pipe(v.string(), v.regex(/^\d{1,9}$/, message), v.transform(Number))], message),
    v.integer(message),
    v.minValue(min, message),
    v.maxValue(max, message),
  );
};

/** A port; `min` is 0 where any free one may be meant. */
export const port = (min: number) => whole("a port", min, 65_535);

/** Bounds in snake_case, for an object that has them all in camelCase. */
export const limitsOf = (bounds: object, min: number) =>
  Object.fromEntries(
    Object.keys(bounds).map((key) => [
      key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      v.optional(whole("a whole number", min, 999_999_999)),
    ]),
  );

/** True or false. */
export const flag = v.pipe(
  v.union([v.boolean(), v.picklist(["true", "false"])], "must be true or false."),
  v.transform((value) => value === true || value === "true"),
);

/** One of these words. */
export const oneOf = <const T extends readonly string[]>(...words: T) =>
  v.picklist(words, `must be ${words.slice(0, -1).join(", ")} or ${words.at(-1)}.`);

/** Text that becomes an atom: at most 255 characters. */
export const name = (what: string) => v.pipe(text(what), v.maxLength(255, "is longer than 255 characters."));

/** A list of texts that may also be written as one text. Problems then stand where the text stands. */
export const oneOrMany = <T extends string>(item: v.GenericSchema<unknown, T>) =>
  v.lazy(
    (input): v.GenericSchema<unknown, T[]> =>
      Array.isArray(input)
        ? v.pipe(v.array(item), v.minLength(1, "must name at least one."))
        : v.pipe(
            item,
            v.transform((one) => [one]),
          ),
  );

/** The keys of {@link secret} when it is a map. */
export const secretFile = { file: text("the path of a file"), check_permissions: v.optional(flag) };
const secretText = text("a text (in quotes when it is a number) or { file: PATH }");
const secretFileSchema = map(secretFile);

/** A secret: by value, or the first line of a file. */
export const secret = v.lazy((input) => (isRecord(input) ? secretFileSchema : secretText));

/** Why `value` is not a node name; undefined when it is one. */
function nodeNameProblem(value: string): string | undefined {
  try {
    parseNodeName(value);
    return undefined;
  } catch (error) {
    if (!isIsthmusError(error)) throw error;
    return error.message.slice(error.message.lastIndexOf("is not a node name"));
  }
}

/** `name@host`. */
export const nodeName = v.pipe(
  v.string("must be a node name: name@host."),
  v.rawCheck(({ dataset, addIssue }) => {
    const message = dataset.typed ? nodeNameProblem(dataset.value) : undefined;
    if (message !== undefined) addIssue({ message });
  }),
);

/** `name@host`, or a pattern of such names: with `*` for any characters. */
export const nodePattern = v.lazy((input) =>
  typeof input === "string" && input.includes("*") ? name("a pattern of node names") : nodeName,
);
