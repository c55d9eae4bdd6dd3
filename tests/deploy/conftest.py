"""What the tests of the chart share."""

import pytest

from tests.deploy.charting import EXAMPLES, Manifest, rendered


@pytest.fixture(scope="session", params=EXAMPLES, ids=lambda path: path.stem)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    """What the chart makes of each example."""
    return rendered(str(request.param))
