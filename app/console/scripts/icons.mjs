// Generates the logos of providers: the path of each icon of simple-icons (CC0-1.0) that a provider profile names, and no other.
// `--check` compares instead. A profile that names an icon which the package does not have is an error.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const PROFILES = fileURLToPath(new URL("../../../adapters-http/oauth2/profiles/", import.meta.url));
const OUTPUT = fileURLToPath(new URL("../web/src/generated/provider-icons.ts", import.meta.url));

const { resolve } = createRequire(new URL("../web/package.json", import.meta.url));

checkLicence();
/** Profile ids with the name of their icon. */
const profiles = new Map();
for (const file of readdirSync(PROFILES).sort()) {
  if (file.endsWith(".toml") && !file.endsWith(".exchange.toml")) {
    const toml = readFileSync(join(PROFILES, file), "utf8");
    const [icon, id] = [value(toml, "icon"), value(toml, "id")];
    if (icon !== undefined) {
      profiles.set(id, icon);
    }
  }
}

const text = `// Generated from simple-icons (CC0-1.0) and the provider profiles by \`npm run codegen\`. Do not edit by hand.

/** The name of the logo of each profile that has one, by the id of the profile. */
export const ICON_OF_PROFILE: Readonly<Record<string, string>> = ${objectOf(profiles)};

/** Path data of logos on a grid of 24 × 24, by name. */
export const PROVIDER_ICONS: Readonly<Record<string, string>> = ${objectOf(
  new Map([...new Set(profiles.values())].sort().map((icon) => [icon, pathOf(icon)])),
)};
`;

if (process.argv.includes("--check")) {
  if (readFileSync(OUTPUT, "utf8") !== text) {
    console.error("provider-icons.ts is stale: run `npm run codegen`");
    process.exit(1);
  }
} else {
  mkdirSync(dirname(OUTPUT), { recursive: true });
  writeFileSync(OUTPUT, text);
}

/** The text of a member of a profile that occurs in one table only. */
function value(toml, name) {
  return toml.match(new RegExp(`^${name} = "([^"]+)"$`, "m"))?.[1];
}

function objectOf(entries) {
  const lines = [...entries].map(([name, text]) => `  ${JSON.stringify(name)}: ${JSON.stringify(text)},\n`);
  return `{\n${lines.join("")}}`;
}

/** The logos become a part of the console, so their licence must remain the one that is stated there. */
function checkLicence() {
  const file = join(dirname(resolve("simple-icons")), "package.json");
  const { license } = JSON.parse(readFileSync(file, "utf8"));
  if (license !== "CC0-1.0") {
    throw new Error(`the licence of simple-icons is ${license}`);
  }
}

/** The path data of an icon. */
function pathOf(icon) {
  let svg;
  try {
    svg = readFileSync(resolve(`simple-icons/icons/${icon}.svg`), "utf8");
  } catch (cause) {
    throw new Error(`a profile names ${icon}, and simple-icons has no such icon`, { cause });
  }
  const paths = [...svg.matchAll(/<path d="([^"]+)"\/>/g)];
  if (paths.length !== 1 || !svg.includes('viewBox="0 0 24 24"')) {
    throw new Error(`${icon}: the icon is not one path on a grid of 24`);
  }
  return paths[0][1];
}
