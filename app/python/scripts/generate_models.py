"""Generates src/grantry/generated/models.py from openapi.json.

There is a class for each schema that an operation for agents receives or returns, and the list of error codes. The script
supports the part of JSON Schema that these schemas use, and fails on any other. `--check` compares instead.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from textwrap import indent, wrap
from typing import Any

PYTHON = Path(__file__).resolve().parent.parent
SPEC = PYTHON.parent.parent / "openapi.json"
OUTPUT = PYTHON / "src/grantry/generated/models.py"

# Members that `repr` leaves out, so that they do not get into logs.
SECRET = {"access_token"}
WIDTH = 100

Schema = dict[str, Any]


def generate(spec: Schema) -> str:
    """The text of the module."""
    schemas: Schema = spec["components"]["schemas"]
    sent, received = set[str](), set[str]()
    for operation in agent_operations(spec):
        collect(schemas, operation["requestBody"], sent)
        collect(schemas, operation["responses"]["200"], received)
    # Errors are read by hand, so that a missing member does not hide the code.
    collect(schemas, schemas["Problem"]["properties"]["connections"], received)
    parts = [HEADER, codes(schemas["Problem"]["properties"]["code"]["enum"])]
    for name in in_order(schemas, sent | received):
        parts.append(model(name, schemas[name], sends=name in sent, receives=name in received))
    return "\n\n".join(parts)


HEADER = '''\
"""Generated from openapi.json by scripts/generate_models.py. Do not edit by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from grantry import _read as read
'''


def agent_operations(spec: Schema) -> list[Schema]:
    """The operations that accept the key of an agent."""
    operations = [operation for methods in spec["paths"].values() for operation in methods.values()]
    return [one for one in operations if any("agent" in scheme for scheme in one.get("security", []))]


def collect(schemas: Schema, part: Any, names: set[str]) -> None:
    """Adds the names of all schemas to which a part of the document refers."""
    if isinstance(part, dict):
        reference = part.get("$ref")
        if isinstance(reference, str) and name_of(reference) not in names:
            names.add(name_of(reference))
            collect(schemas, schemas[name_of(reference)], names)
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            collect(schemas, inner, names)


def in_order(schemas: Schema, names: set[str]) -> list[str]:
    """Schemas after those they refer to, otherwise by name."""
    ordered: list[str] = []

    def add(name: str) -> None:
        inner = set[str]()
        collect(schemas, schemas[name], inner)
        for other in sorted(inner - {name}):
            add(other)
        if name not in ordered:
            ordered.append(name)

    for name in sorted(names):
        add(name)
    return ordered


def codes(names: list[str]) -> str:
    lines = "".join(f'    "{name}",\n' for name in names)
    return f"# Every error code of the server. The codes are stable.\nERROR_CODES: Final = (\n{lines})\n"


def model(name: str, schema: Schema, *, sends: bool, receives: bool) -> str:
    if schema.get("type") != "object" or "properties" not in schema:
        raise SystemExit(f"{name}: only objects with properties are supported")
    required = schema.get("required", [])
    # Members without a default first.
    members = sorted(schema["properties"].items(), key=lambda member: member[0] not in required)
    lines = [docstring(schema["description"]), ""]
    for member, of in members:
        lines += [attribute(member, of, member in required), *member_docs(of)]
    if sends:
        lines += ["", to_json(members, required)]
    if receives:
        lines += ["", from_json(name, members, required)]
    body = indent("\n".join(lines), "    ", lambda line: line.strip() != "")
    return f"@dataclass(frozen=True, slots=True, kw_only=True)\nclass {name}:\n{body}\n"


def attribute(member: str, schema: Schema, required: bool) -> str:
    annotation, _ = typed(schema)
    if member in SECRET:
        default = " = field(repr=False)" if required else " = field(default=None, repr=False)"
    else:
        default = "" if required else " = None"
    if not required and annotation != "Any" and not annotation.endswith("| None"):
        annotation += " | None"
    return f"{snake(member)}: {annotation}{default}"


def member_docs(schema: Schema) -> list[str]:
    text = schema.get("description")
    return [docstring(text)] if text else []


def to_json(members: list[tuple[str, Schema]], required: list[str]) -> str:
    lines = ["def to_json(self) -> dict[str, Any]:", '    """The JSON of the API, without members that are None."""']
    lines.append("    members: dict[str, Any] = {")
    for member, schema in members:
        value = f"self.{snake(member)}"
        if "$ref" in schema and member in required:
            value += ".to_json()"
        elif "$ref" in json.dumps(schema):
            raise SystemExit(f"{member}: only a required reference is supported in requests")
        lines.append(f'        "{member}": {value},')
    lines += ["    }", "    return {name: value for name, value in members.items() if value is not None}"]
    return "\n".join(lines)


def from_json(name: str, members: list[tuple[str, Schema]], required: list[str]) -> str:
    lines = [
        "@classmethod",
        f"def from_json(cls, value: object) -> {name}:",
        '    """Reads the JSON of the API. Raises ValueError if a member is missing or has another type."""',
        "    members = read.members(value)",
        "    return cls(",
    ]
    for member, schema in members:
        how = "required" if member in required else "optional"
        lines.append(f'        {snake(member)}=read.{how}(members, "{member}", {typed(schema)[1]}),')
    return "\n".join([*lines, "    )"])


def typed(schema: Schema) -> tuple[str, str]:
    """The type of a schema, and the function that reads it."""
    if "$ref" in schema:
        name = name_of(schema["$ref"])
        return name, f"{name}.from_json"
    if "oneOf" in schema:
        types = [typed(one)[0] for one in schema["oneOf"]]
        return " | ".join(types), "read.anything"
    kind = schema.get("type")
    if isinstance(kind, list):
        alternatives = [typed({**schema, "type": one}) for one in kind if one != "null"]
        names = " | ".join([*(name for name, _ in alternatives), *(["None"] if "null" in kind else [])])
        return names, alternatives[0][1] if len(alternatives) == 1 else "read.anything"
    if kind is None and "enum" not in schema:
        return "Any", "read.anything"
    if kind == "string":
        return ("datetime", "read.timestamp") if schema.get("format") == "date-time" else ("str", "read.text")
    if kind == "integer":
        return "int", "read.integer"
    if kind == "number":
        return "float", "read.anything"
    if kind == "boolean":
        return "bool", "read.boolean"
    if kind == "array":
        inner, reader = typed(schema["items"])
        return f"Sequence[{inner}]", f"read.list_of({reader})"
    if kind == "object" and "properties" not in schema:
        of = schema.get("additionalProperties", True)
        inner, reader = typed({} if of is True else of)
        return f"Mapping[str, {inner}]", f"read.mapping_of({reader})"
    raise SystemExit(f"no Python type for {json.dumps(schema)}")


def docstring(text: str) -> str:
    lines = wrap(" ".join(text.split()), WIDTH)
    return f'"""{lines[0]}"""' if len(lines) == 1 else "\n".join(['"""' + lines[0], *lines[1:], '"""'])


def snake(member: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", member).lower()


def name_of(reference: str) -> str:
    return reference.rsplit("/", 1)[-1]


def main() -> None:
    text = generate(json.loads(SPEC.read_text("utf-8")))
    if "--check" not in sys.argv[1:]:
        OUTPUT.write_text(text, "utf-8")
    elif OUTPUT.read_text("utf-8") != text:
        raise SystemExit("models.py is stale: run `python scripts/generate_models.py`")


if __name__ == "__main__":
    main()
