"""The chart, rendered: how its pods are probed, spread, scaled, disturbed, reached and watched."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import pytest
import yaml

from outrider.events import bus, readiness, streams
from outrider.events import service as kernel
from outrider.local.services import SERVICES
from tests.deploy.charting import CHART, HERE, Manifest, labels, of_kind, pods, rendered
from tests.deploy.test_chart import OLDEST

DOCKERFILE: Final = (HERE / "deploy/image/Dockerfile").read_text(encoding="utf-8")
SCALERS: Final = ("HorizontalPodAutoscaler", "ScaledObject")
ANYWHERE: Final[list[Manifest]] = [{"namespaceSelector": {}}]
FREE: Final = ("resources", "annotations", "podLabels", "podAnnotations", "nodeSelector", "labels")
"""Maps of the user's own names."""


def component(one: Manifest) -> str:
    found: str = one["metadata"]["labels"]["app.kubernetes.io/component"]
    return found


def test_the_oldest_version_that_is_checked_is_the_one_that_the_chart_asks_for() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["kubeVersion"] == f">={OLDEST}.0-0"


def test_liveness_asks_the_process_alone_and_readiness_everything(manifests: list[Manifest]) -> None:
    longest = readiness.SECONDS + 2 * bus.PROBE_SECONDS
    for one in of_kind(manifests, "Deployment"):
        (container,) = one["spec"]["template"]["spec"]["containers"]
        for name in ("livenessProbe", "startupProbe"):
            assert container[name]["httpGet"]["path"] == "/health/live"
        assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
        assert longest < container["readinessProbe"]["timeoutSeconds"], "or nobody hears what is wrong"


def test_replicas_are_spread_over_nodes_each_service_for_itself(manifests: list[Manifest]) -> None:
    for one in of_kind(manifests, "Deployment"):
        template = one["spec"]["template"]
        (spread,) = template["spec"]["topologySpreadConstraints"]
        assert spread["topologyKey"] == "kubernetes.io/hostname"
        assert chosen(spread["labelSelector"]["matchLabels"], manifests) == {component(one)}


def test_a_drained_node_takes_one_replica_of_a_service_at_a_time(manifests: list[Manifest]) -> None:
    budgets = {component(one): one["spec"] for one in of_kind(manifests, "PodDisruptionBudget")}
    assert set(budgets) == set(SERVICES)
    for name, budget in budgets.items():
        assert budget["maxUnavailable"] == 1
        assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow", "one that is not ready must not hold up the drain"
        assert chosen(budget["selector"]["matchLabels"], manifests) == {name}


def chosen(selector: Mapping[str, str], manifests: list[Manifest]) -> set[str]:
    """Whose pods it selects."""
    return {name for name, pod in pods(manifests).items() if selector.items() <= labels(pod).items()}


def test_a_service_is_scaled_by_its_number_or_by_one_scaler(manifests: list[Manifest]) -> None:
    scaled = Counter(one["spec"]["scaleTargetRef"]["name"] for kind in SCALERS for one in of_kind(manifests, kind))
    for one in of_kind(manifests, "Deployment"):
        assert ("replicas" in one["spec"]) + scaled[one["metadata"]["name"]] == 1


def test_keda_asks_for_the_lag_of_a_consumer_that_there_is() -> None:
    found = rendered(str(HERE / "deploy/helm/examples/production.yaml"))
    (scaler,) = of_kind(found, "ScaledObject")
    (trigger,) = scaler["spec"]["triggers"]
    assert trigger["type"] == "nats-jetstream"
    assert trigger["metadata"]["stream"] == streams.COMMANDS_STREAM
    assert trigger["metadata"]["consumer"] in streams.SERVICES
    assert component(scaler) == trigger["metadata"]["consumer"]


def test_nobody_is_reached_but_for_figures_and_the_api_for_calls(manifests: list[Manifest]) -> None:
    into = {
        name: sorted(
            port["port"]
            for one in of_kind(manifests, "NetworkPolicy")
            if one["spec"]["podSelector"]["matchLabels"].items() <= labels(pod).items()
            for rule in one["spec"].get("ingress", [])
            for port in rule["ports"]
        )
        for name, pod in pods(manifests).items()
    }
    assert into.pop("api") == ["health", "http"]
    assert {tuple(ports) for ports in into.values()} == {("health",)}


def test_who_may_call_and_who_may_measure_can_be_narrowed_down() -> None:
    def callers(*values: str) -> dict[str, Any]:
        policies = of_kind(rendered(*values), "NetworkPolicy")
        return {rule["ports"][0]["port"]: rule["from"] for one in policies for rule in one["spec"].get("ingress", [])}

    assert callers("existingSecret=s") == {"health": ANYWHERE, "http": ANYWHERE}
    narrow = callers(str(HERE / "deploy/helm/examples/production.yaml"))
    names = {port: peers[0]["namespaceSelector"]["matchLabels"] for port, peers in narrow.items()}
    assert names["http"] == {"kubernetes.io/metadata.name": "ingress-nginx"}
    assert names["health"] == {"kubernetes.io/metadata.name": "monitoring"}


def test_the_gateway_api_leads_where_an_ingress_does() -> None:
    found = rendered(str(HERE / "deploy/helm/examples/gitops.yaml"))
    assert not of_kind(found, "Ingress")
    paths = {
        one["spec"]["hostnames"][0]: [
            match["path"]["value"] for rule in one["spec"]["rules"] for match in rule.get("matches", [])
        ]
        for one in of_kind(found, "HTTPRoute")
    }
    assert paths == {"api.example.com": [], "track.example.com": ["/t", "/u"]}
    services = {one["metadata"]["name"]: one["spec"]["ports"] for one in of_kind(found, "Service")}
    for one in of_kind(found, "HTTPRoute"):
        for backend in (backend for rule in one["spec"]["rules"] for backend in rule["backendRefs"]):
            assert backend["port"] in {port["port"] for port in services[backend["name"]]}


def test_prometheus_is_told_of_every_pod_and_of_every_alert() -> None:
    found = rendered(str(HERE / "deploy/helm/examples/production.yaml"))
    (monitor,) = of_kind(found, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (service,) = [one for one in of_kind(found, "Service") if wanted <= one["metadata"]["labels"].items()]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["path"] == "/metrics"
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert service["spec"]["publishNotReadyAddresses"] is True, "figures of one that is not ready matter most"
    assert set(SERVICES) <= chosen(service["spec"]["selector"], found)
    (rule,) = of_kind(found, "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((CHART / "files/alerts.yaml").read_text(encoding="utf-8"))


def test_helm_leaves_nothing_of_a_hook_behind(manifests: list[Manifest]) -> None:
    """`helm uninstall` does not know them."""
    for one in manifests:
        told: Mapping[str, str] = one["metadata"].get("annotations") or {}
        if "helm.sh/hook" in told:
            assert told["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"


def test_postgres_has_room_for_every_pod_that_there_may_be() -> None:
    found = rendered(str(HERE / "deploy/helm/examples/production.yaml"))
    most = {one["metadata"]["name"]: one["spec"].get("replicas", 0) for one in of_kind(found, "Deployment")}
    for one in (one for kind in SCALERS for one in of_kind(found, kind)):
        spec = one["spec"]
        most[spec["scaleTargetRef"]["name"]] = spec.get("maxReplicas") or spec["maxReplicaCount"]
    each = kernel.LOG_CONNECTIONS + kernel.TABLE_CONNECTIONS + kernel.WORK_CONNECTIONS
    assert f"Each pod may open {each} connections" in (HERE / "docs/kubernetes.md").read_text(encoding="utf-8")
    cluster = yaml.safe_load((HERE / "deploy/helm/servers/postgres-cnpg.yaml").read_text(encoding="utf-8"))
    room = int(cluster["spec"]["postgresql"]["parameters"]["max_connections"])
    assert (sum(most.values()) + len(most)) * each <= room, "with one more of each, while it is rolled"


def test_every_value_has_its_place_in_the_schema_and_none_beside() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    assert list(unknown(values, schema)) == []


def unknown(values: Mapping[str, Any], schema: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """What the schema would let pass under any name, or has no word for."""
    if schema.get("additionalProperties") is not False:
        yield f"{at or '/'} takes any name"
    for name, value in values.items():
        place = schema["properties"].get(name)
        if place is None:
            yield f"{at}/{name} is not described"
        elif isinstance(value, dict) and name not in FREE:
            yield from unknown(cast("Mapping[str, Any]", value), place, f"{at}/{name}")


def test_the_image_is_built_in_two_steps_from_what_is_hashed_and_runs_as_nobody(manifests: list[Manifest]) -> None:
    build, run = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    commands = re.split(r"&&|^(?:RUN|COPY) ", build, flags=re.MULTILINE)
    installs = [one for one in commands if re.search(r"pip (install|sync)", one)]
    assert len(installs) == 3
    assert all("--require-hashes" in one or "--no-deps" in one for one in installs)
    assert "/app/sbom.cdx.json" in build
    (last,) = re.findall(r"^RUN (.*)$", run, re.MULTILINE)
    assert last == "pip uninstall --yes --root-user-action=ignore pip setuptools wheel", "those of the base image"
    (user,) = re.findall(r"^USER (\d+):(\d+)$", run, re.MULTILINE)
    for pod in pods(manifests).values():
        security = pod["spec"]["securityContext"]
        assert (str(security["runAsUser"]), str(security["runAsGroup"])) == user
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", run, re.MULTILINE)
    assert json.loads(entry) == ["/app/bin/python", "-m"], "the chart's arguments are modules"


@pytest.mark.parametrize("line", ["hadolint deploy/image/Dockerfile", "lint --quiet --strict deploy/helm/outrider"])
def test_a_check_looks_at_image_and_chart(line: str) -> None:
    assert line in (HERE / "Makefile").read_text(encoding="utf-8")
