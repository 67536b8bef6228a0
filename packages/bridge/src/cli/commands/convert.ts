import { writeFileSync } from "node:fs";
import { readConfigFile } from "../../config/named-file.ts";
import { convert as convertText } from "../../convert/convert.ts";
import { EXIT } from "../exit-status.ts";

/** What the command line says. */
export interface ConvertOptions {
  /** The file to write; it must not be there yet. @default standard output */
  readonly out?: string;
}

/**
 * `isthmus convert`: a configuration of libcluster or skycluster as one of `isthmus form`.
 * @throws IsthmusError `CONFIG_UNREADABLE`, and the codes of {@link convertText}
 */
export async function convert(file: string, { out }: ConvertOptions): Promise<number> {
  const yaml = await convertText(readConfigFile(file), file);
  if (out === undefined) {
    process.stdout.write(yaml);
    return EXIT.OK;
  }
  try {
    writeFileSync(out, yaml, { flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    console.error(`isthmus: ${out} is there already and was left as it is. Give another name, or remove it.`);
    return EXIT.FAILED;
  }
  console.error(`${out} is written. Read its comments, then try: isthmus form --dry-run ${out}`);
  return EXIT.OK;
}
