"""Compares a dashboard with Grafana's model of dashboards: each name, and the type of each value."""

import enum
import json
import sys
import types
import typing

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def unknown(given, read, path):
    """Names that the model does not have: reading drops them."""
    if isinstance(given, dict) and isinstance(read, dict):
        for name in given:
            if name in read:
                yield from unknown(given[name], read[name], f"{path}.{name}")
            elif given[name] is not None:
                yield f"{path}.{name} is not in the model"
    elif isinstance(given, list) and isinstance(read, list):
        for number, pair in enumerate(zip(given, read)):
            yield from unknown(*pair, f"{path}[{number}]")
    elif given != read:
        yield f"{path} is {given!r}, and is read as {read!r}"


def mistyped(value, path):
    """Values of another type than in the model: reading checks no types."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from mistyped(item, f"{path}[{number}]")
    elif type(value).__module__.startswith("grafana_foundation_sdk.models"):
        for name, hint in typing.get_type_hints(type(value)).items():
            member = getattr(value, name, None)
            if not fits(member, hint):
                yield f"{path}.{name} is {member!r}, which is no {hint}"
            yield from mistyped(member, f"{path}.{name}")


def fits(value, hint):
    """Whether a value has a type. Values of enumerations are read as plain ones."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is list:
        return isinstance(value, list) and all(fits(item, arguments[0]) for item in value)
    if origin is typing.Literal:
        return value in arguments
    if origin is dict:
        return isinstance(value, dict)
    if hint in (typing.Any, object):
        return True
    if issubclass(hint, enum.Enum):
        return value in [member.value for member in hint]
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


register_default_plugins()
with open(sys.argv[1], encoding="utf-8") as file:
    source = json.load(file)
dashboard = Dashboard.from_json(source)
written = json.loads(json.dumps(dashboard, cls=JSONEncoder))
findings = [*unknown(source, written, "dashboard"), *mistyped(dashboard, "dashboard")]
print("\n".join(findings) or f"{sys.argv[1]} has the form of Grafana's model")
sys.exit(1 if findings else 0)
