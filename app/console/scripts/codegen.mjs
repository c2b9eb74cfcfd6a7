// Generates the client's types from openapi.json: one TypeScript type per schema, sorted by name. `--check` compares
// instead. Supports the part of JSON Schema that an API description uses, and fails on any other.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const SPEC = fileURLToPath(new URL("../../../openapi.json", import.meta.url));
const OUTPUT = fileURLToPath(new URL("../packages/client/src/generated/api-types.ts", import.meta.url));

const { components } = JSON.parse(readFileSync(SPEC, "utf8"));
const text = fileOf(components.schemas);

if (process.argv.includes("--check")) {
  if (readFileSync(OUTPUT, "utf8") !== text) {
    console.error("api-types.ts is stale: run `npm run codegen`");
    process.exit(1);
  }
} else {
  writeFileSync(OUTPUT, text);
}

function fileOf(schemas) {
  const names = Object.keys(schemas).sort();
  const entries = names.map(
    (name) => `${docs(schemas[name], 4)}    ${key(name)}: ${typeOf(schemas[name], 4)};`,
  );
  return [
    "// Generated from openapi.json by `npm run codegen`. Do not edit by hand.",
    "",
    "export interface components {",
    "  schemas: {",
    ...entries,
    "  };",
    "}",
    "",
  ].join("\n");
}

/** The TypeScript type of a schema; `indent` is the indent of its first line. */
function typeOf(schema, indent) {
  if (schema === true || Object.keys(withoutNotes(schema)).length === 0) {
    return "unknown";
  }
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return `components["schemas"][${JSON.stringify(name)}]`;
  }
  if ("const" in schema) {
    return JSON.stringify(schema.const);
  }
  if (schema.enum) {
    return union(schema.enum.map((value) => JSON.stringify(value)));
  }
  for (const [word, join] of [
    ["oneOf", union],
    ["anyOf", union],
    ["allOf", intersection],
  ]) {
    if (schema[word]) {
      return join(schema[word].map((part) => typeOf(part, indent)));
    }
  }
  if (Array.isArray(schema.type)) {
    return union(schema.type.map((type) => typeOf({ ...schema, type }, indent)));
  }
  switch (schema.type) {
    case "null":
    case "boolean":
    case "string":
      return schema.type;
    case "integer":
    case "number":
      return "number";
    case "array":
      return `${parenthesized(typeOf(schema.items ?? true, indent))}[]`;
    case "object":
      return objectOf(schema, indent);
    default:
      throw new Error(`no TypeScript for ${JSON.stringify(schema)}`);
  }
}

function objectOf(schema, indent) {
  const { properties = {}, required = [], additionalProperties } = schema;
  const names = Object.keys(properties);
  if (names.length === 0) {
    const values = additionalProperties ? typeOf(additionalProperties, indent) : "unknown";
    return `Record<string, ${values}>`;
  }
  const inner = indent + 2;
  const pad = " ".repeat(inner);
  const lines = names.map((name) => {
    const mark = required.includes(name) ? "" : "?";
    return `${docs(properties[name], inner)}${pad}${key(name)}${mark}: ${typeOf(properties[name], inner)};`;
  });
  return `{\n${lines.join("\n")}\n${" ".repeat(indent)}}`;
}

function docs(schema, indent) {
  if (typeof schema?.description !== "string") {
    return "";
  }
  const pad = " ".repeat(indent);
  const lines = schema.description.trim().replaceAll("*/", "*\\/").split(/\s*\n/);
  return lines.length === 1
    ? `${pad}/** ${lines[0]} */\n`
    : `${pad}/**\n${lines.map((line) => `${pad} * ${line}`.trimEnd()).join("\n")}\n${pad} */\n`;
}

/** Removes keywords without effect on the type. */
function withoutNotes(schema) {
  const notes = ["description", "title", "example", "examples", "deprecated", "default"];
  return Object.fromEntries(Object.entries(schema).filter(([name]) => !notes.includes(name)));
}

function union(types) {
  return [...new Set(types)].join(" | ");
}

function intersection(types) {
  return types.map((type) => (type.includes(" | ") ? `(${type})` : type)).join(" & ");
}

function parenthesized(type) {
  return / [|&] /.test(type) && !type.startsWith("{") ? `(${type})` : type;
}

function key(name) {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
}
