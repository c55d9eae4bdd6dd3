"""What this process shows in its metrics."""

from prometheus_client import REGISTRY


def shown(name: str, **labels: str) -> float | None:
    """The value of one sample; None where there is none."""
    return REGISTRY.get_sample_value(name, labels)
