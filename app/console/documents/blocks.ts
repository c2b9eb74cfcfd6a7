// Compiles the TypeScript and JavaScript blocks of documents against the sources of the packages.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** A document of the repository. */
export interface Document {
  /** From the root of the repository. */
  path: string;
  text: string;
}

interface Block {
  path: string;
  /** The first line, with the language, from 1. */
  line: number;
  extension: string;
  /** What follows the language. */
  mark: string;
  code: string;
}

const EXTENSIONS: Record<string, string> = {
  ts: "ts",
  typescript: "ts",
  tsx: "tsx",
  js: "mjs",
  javascript: "mjs",
  jsx: "jsx",
};

/** All Markdown files that Git tracks. */
export function documents(): Document[] {
  const root = here("../../..");
  const listed = execFileSync("git", ["ls-files", "-z", "*.md"], { cwd: root, encoding: "utf8" });
  const paths = listed.split("\0").filter(Boolean);
  return paths.map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}

/** The blocks of a document that a compiler can read. */
export function blocksOf({ path, text }: Document): Block[] {
  const found: Block[] = [];
  let open: { line: number; indent: string; language: string; mark: string; code: string[] } | undefined;
  for (const [at, line] of text.split("\n").entries()) {
    const [, indent = "", language, mark = ""] = /^(\s*)```(\w*)(.*)$/.exec(line) ?? [];
    if (open && language === undefined) open.code.push(line.slice(open.indent.length));
    else if (open) {
      const extension = EXTENSIONS[open.language];
      if (extension) found.push({ ...open, path, extension, code: open.code.join("\n") });
      open = undefined;
    } else if (language !== undefined) open = { line: at + 1, indent, language, mark: mark.trim(), code: [] };
  }
  return found;
}

/** What is wrong with the blocks of the documents, each with file and line. */
export function check(documents: Document[]): string[] {
  const blocks = documents.flatMap(blocksOf);
  const marked = blocks.filter(({ mark }) => mark !== "");
  const unclear = marked.filter(({ mark }) => !/^ignore: \S/.test(mark));
  const reasons = unclear.map(
    ({ path, line, mark }) => `${path}:${line}: "${mark}" must be "ignore: " and a reason`,
  );
  return [...reasons, ...compile(blocks.filter(({ mark }) => mark === ""))];
}

/** Compiles each block as a module. The folder is below that of the console, so that the packages of both are found. */
function compile(blocks: Block[]): string[] {
  const folder = mkdtempSync(here("../web/.documents-"));
  try {
    for (const [index, { extension, code }] of blocks.entries())
      writeFileSync(join(folder, `${index}.${extension}`), code);
    const configuration = {
      extends: here("../tsconfig.base.json"),
      compilerOptions: { allowJs: true, checkJs: true, moduleDetection: "force", types: ["node"] },
      include: ["*", here("globals.d.ts")],
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(configuration));
    const compiler = here("../node_modules/typescript/bin/tsc");
    const options = { cwd: folder, encoding: "utf8" } as const;
    const { status, stdout } = spawnSync(
      process.execPath,
      [compiler, "-p", ".", "--pretty", "false"],
      options,
    );
    // The lines after the first of an error are indented.
    const errors = stdout
      .trim()
      .split(/\n(?=\S)/)
      .filter(Boolean);
    if (status !== 0 && errors.length === 0) return ["the compiler failed without an error"];
    return errors.map((error) => inDocument(error, blocks));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** An error of the compiler with the file and the line of the document. */
function inDocument(error: string, blocks: Block[]): string {
  const [, index, line, text] = /^(\d+)\.\w+\((\d+),\d+\): (.*)$/s.exec(error) ?? [];
  const block = blocks[Number(index)];
  return block ? `${block.path}:${block.line + Number(line)}: ${text}` : error;
}
