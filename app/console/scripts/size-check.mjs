// Checks the size of the console, compressed: all scripts of the first load at most 120 kB, its style sheets at most 6.5 kB.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT = 120_000;
const CSS_LIMIT = 6_500;
const dist = new URL("../dist/", import.meta.url);

const html = readFileSync(new URL("index.html", dist), "utf8");

/** Number and size of the files that the page names with this extension. */
function sizeOf(extension) {
  const paths = [...html.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map((match) => match[1]);
  const files = paths.filter((path) => path.endsWith(extension));
  const bytes = files.map((path) => gzipSync(readFileSync(new URL(path, dist)), { level: 9 }).length);
  return { count: files.length, total: bytes.reduce((sum, size) => sum + size, 0) };
}

for (const [what, extension, limit] of [
  ["scripts", ".js", LIMIT],
  ["style sheets", ".css", CSS_LIMIT],
]) {
  const { count, total } = sizeOf(extension);
  console.log(`first load: ${count} ${what}, ${(total / 1000).toFixed(1)} kB of ${limit / 1000} kB`);
  if (count === 0 || total > limit) {
    console.error(`the ${what} of the console are too large, or its page names none`);
    process.exit(1);
  }
}
