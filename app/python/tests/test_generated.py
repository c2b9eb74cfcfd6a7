from __future__ import annotations

import json

import pytest

import generate_models
from grantry._read import timestamp


def test_the_models_are_current() -> None:
    text = generate_models.generate(json.loads(generate_models.SPEC.read_text("utf-8")))
    assert generate_models.OUTPUT.read_text("utf-8") == text, "run `python scripts/generate_models.py`"


def test_a_schema_without_a_python_type_is_refused() -> None:
    with pytest.raises(SystemExit, match="no Python type"):
        generate_models.typed({"type": "string-ish"})


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2030-01-02T03:04:05Z", "2030-01-02T03:04:05+00:00"),
        ("2030-01-02T03:04:05.31Z", "2030-01-02T03:04:05.310000+00:00"),
        ("2030-01-02T03:04:05.123456789+02:00", "2030-01-02T03:04:05.123456+02:00"),
    ],
)
def test_points_in_time_have_fractions_of_any_length(text: str, iso: str) -> None:
    assert timestamp(text).isoformat() == iso


@pytest.mark.parametrize("text", ["2030-01-02", "2030-01-02T03:04:05", "2030-13-02T03:04:05Z", ""])
def test_other_text_is_no_point_in_time(text: str) -> None:
    with pytest.raises(ValueError):
        timestamp(text)
