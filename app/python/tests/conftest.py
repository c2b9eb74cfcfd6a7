from __future__ import annotations

import pytest


@pytest.fixture(params=["sync", "asyncio", "trio"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which client a test uses, and the event loop of the asynchronous one."""
    return str(request.param)
