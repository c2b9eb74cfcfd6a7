"""Readers of JSON values. Each raises ValueError for a value of another type; the message names the member, not the value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

T = TypeVar("T")
Reader = Callable[[object], T]

# RFC 3339. `datetime.fromisoformat` of Python 3.10 accepts neither `Z` nor fractions of any length.
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")


def members(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError("is not an object")
    return cast("dict[str, object]", value)


def required(members: Mapping[str, object], name: str, reader: Reader[T]) -> T:
    if name not in members:
        raise ValueError(f"{name}: is missing")
    return _member(members, name, reader)


def optional(members: Mapping[str, object], name: str, reader: Reader[T]) -> T | None:
    return None if members.get(name) is None else _member(members, name, reader)


def _member(members: Mapping[str, object], name: str, reader: Reader[T]) -> T:
    try:
        return reader(members[name])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def anything(value: object) -> Any:
    return value


def text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a string")
    return value


def integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("is not an integer")
    return value


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is not a boolean")
    return value


def timestamp(value: object) -> datetime:
    match = _TIMESTAMP.fullmatch(text(value))
    if match is None:
        raise ValueError("is not a point in time (RFC 3339)")
    second, fraction, offset = match.groups()
    microseconds = (fraction or "")[:6].ljust(6, "0")
    return datetime.fromisoformat(f"{second}.{microseconds}{'+00:00' if offset == 'Z' else offset}")


def list_of(reader: Reader[T]) -> Reader[Sequence[T]]:
    def read(value: object) -> Sequence[T]:
        if not isinstance(value, list):
            raise ValueError("is not an array")
        return [reader(one) for one in value]

    return read


def mapping_of(reader: Reader[T]) -> Reader[Mapping[str, T]]:
    return lambda value: {name: reader(one) for name, one in members(value).items()}
