from __future__ import annotations

from tests.appserver.api.conftest import console  # noqa: F401
