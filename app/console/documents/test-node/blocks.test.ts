import { expect, test } from "vitest";
import { blocksOf, check, documents } from "../blocks.ts";

const document = (text: string) => ({ path: "docs/guide.md", text });

test("every block of the documents compiles against the packages", () => {
  const all = documents();
  expect(all.flatMap(blocksOf).length).toBeGreaterThanOrEqual(6);
  expect(check(all)).toEqual([]);
});

test("a block that does not compile is reported with file and line", () => {
  const absent = 'import { absent } from "@grantry/client";';
  const text = `# Guide\n\n- in a list:\n\n  \`\`\`ts\n  // a comment\n  ${absent}\n\n  absent();\n  \`\`\`\n`;
  const [finding, ...rest] = check([document(text)]);
  expect(finding).toMatch(/^docs\/guide\.md:7: error TS2305: .*'absent'/);
  expect(rest).toEqual([]);
});

test("a block is left out only with a reason", () => {
  const text = "```ts ignore\n?\n```\n\n```ts ignore: a fragment of a grammar\n?\n```\n\n```sh\n?\n```\n";
  expect(check([document(text)])).toEqual(['docs/guide.md:1: "ignore" must be "ignore: " and a reason']);
});
