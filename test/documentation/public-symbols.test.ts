import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The source files that the packages' `exports` name. */
function entries(): string[] {
  return readdirSync(`${root}packages`).flatMap((name) => {
    const folder = `${root}packages/${name}`;
    const { exports } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8")) as {
      exports: Record<string, string | Record<string, string>>;
    };
    return Object.values(exports).flatMap((target) =>
      typeof target === "string" ? [] : [`${folder}/${target["@isthmus/source"]}`],
    );
  });
}

it("every public symbol, and every public member of one, has a comment that explains it", () => {
  const files = entries();
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    customConditions: ["@isthmus/source"],
    allowImportingTsExtensions: true,
    noEmit: true,
    skipLibCheck: true,
    types: ["node"],
  });
  const checker = program.getTypeChecker();
  const undocumented = new Set<string>();
  const explained = (symbol: ts.Symbol): boolean =>
    symbol.getDocumentationComment(checker).length > 0 || symbol.getJsDocTags(checker).length > 0;
  const check = (symbol: ts.Symbol, path: string): void => {
    const declaration = symbol.declarations?.[0];
    if (declaration === undefined || !declaration.getSourceFile().fileName.startsWith(`${root}packages`))
      return;
    if (!explained(symbol)) undocumented.add(path);
    if (!ts.isClassDeclaration(declaration) && !ts.isInterfaceDeclaration(declaration)) return;
    for (const member of symbol.members?.values() ?? []) {
      const at = member.declarations?.[0];
      if (at === undefined || member.name.startsWith("__")) continue;
      // what says all by its name and type, such as readonly data, may stand without
      if ((ts.isMethodDeclaration(at) && !ts.isPrivateIdentifier(at.name)) || ts.isMethodSignature(at)) {
        if (!explained(member)) undocumented.add(`${path}.${member.name}`);
      }
    }
  };
  for (const file of files) {
    const source = program.getSourceFile(file);
    expect(source, file).toBeDefined();
    const module = checker.getSymbolAtLocation(source as ts.SourceFile);
    for (const exported of module === undefined ? [] : checker.getExportsOfModule(module)) {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
      check(symbol, `${file.slice(root.length)} ${exported.name}`);
    }
  }
  expect([...undocumented].sort().join("\n")).toBe("");
});
