"""What a test needs that is not everywhere."""

import os

import pytest


def skip_or_fail(reason: str) -> None:
    """Skips a test on a user's machine; where everything is required, fails it."""
    if os.environ.get('PYG_MSG3D_REQUIRE_ALL'):
        pytest.fail(f'{reason}, but PYG_MSG3D_REQUIRE_ALL is set')
    pytest.skip(reason)
