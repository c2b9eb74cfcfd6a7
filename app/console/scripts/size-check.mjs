// Checks the size of the console: all scripts of the first load, compressed, at most 120 kB.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT = 120_000;
const dist = new URL("../dist/", import.meta.url);

const html = readFileSync(new URL("index.html", dist), "utf8");
const scripts = [...html.matchAll(/(?:src|href)="\/(assets\/[^"]+\.js)"/g)].map((match) => match[1]);
const total = scripts.reduce(
  (sum, path) => sum + gzipSync(readFileSync(new URL(path, dist)), { level: 9 }).length,
  0,
);

console.log(`first load: ${scripts.length} scripts, ${(total / 1000).toFixed(1)} kB of ${LIMIT / 1000} kB`);
if (scripts.length === 0 || total > LIMIT) {
  console.error("the console is too large, or its page names no script");
  process.exit(1);
}
