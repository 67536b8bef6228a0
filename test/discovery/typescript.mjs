// node --import of this file runs TypeScript as it is, for programs that tests start on hosts of their own.
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { register } from "node:module";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";

// hooks have a thread of their own, in which this file is loaded again
if (isMainThread) register(import.meta.url);

const cache = new URL("../../.test-cache/typescript/", import.meta.url);

/** @type {import("node:module").LoadHook} */
export async function load(url, context, next) {
  if (!url.endsWith(".ts")) return next(url, context);
  return {
    format: "module",
    shortCircuit: true,
    source: await javascript(await readFile(fileURLToPath(url))),
  };
}

/** @param {Buffer} text */
async function javascript(text) {
  const kept = new URL(`${createHash("sha256").update(text).digest("hex")}.js`, cache);
  try {
    return await readFile(kept, "utf8");
  } catch {
    // not compiled before
  }
  const { default: typescript } = await import("typescript");
  const { outputText } = typescript.transpileModule(text.toString("utf8"), {
    compilerOptions: {
      module: typescript.ModuleKind.ESNext,
      target: typescript.ScriptTarget.ES2023,
      verbatimModuleSyntax: true,
    },
  });
  await mkdir(cache, { recursive: true });
  const draft = new URL(randomUUID(), cache);
  await writeFile(draft, outputText);
  await rename(draft, kept);
  return outputText;
}
