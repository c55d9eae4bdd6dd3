"""The chart for Kubernetes, rendered: what it makes is valid, restricted, and what the services expect."""

import importlib.util
import json
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import pytest
from jsonschema import ValidationError

from outrider.events import service as kernel
from outrider.events import streams
from outrider.events.database import ROLES
from outrider.events.oauth import PROVIDERS
from outrider.events.settings import Settings
from outrider.local.keys import Keys
from outrider.local.services import SERVICES, module, role
from tests.deploy.charting import CHART, HERE, NEWEST, Manifest, helm, labels, of_kind, pods, rendered, validate
from tests.kill_loop.fleet import REPLICAS
from tests.rollout.balancer import LINGER_SECONDS
from tests.rollout.rolling import GRACE_SECONDS

OLDEST: Final = "1.30"
"""As in Chart.yaml."""
MINIMAL: Final = str(HERE / "deploy/helm/examples/minimal.yaml")
FOREIGN: Final = ("monitoring.coreos.com/", "keda.sh/", "gateway.networking.k8s.io/")
"""Kinds of other projects: their schemas are not Kubernetes'."""
SECRETS: Final = Keys.fresh().deployment(
    "postgresql://owner:secret@db.example:5432/outrider", "nats://nats.example:4222"
)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_manifest_is_valid(manifests: list[Manifest], version: str) -> None:
    ours = [one for one in manifests if not one["apiVersion"].startswith(FOREIGN)]
    assert len(ours) >= 15
    for one in ours:
        validate(one, version)


def test_the_schemas_tell_a_wrong_manifest(manifests: list[Manifest]) -> None:
    wrong = json.loads(json.dumps(of_kind(manifests, "Deployment")[0]))
    wrong["spec"]["template"]["spec"]["containers"][0]["port"] = []
    with pytest.raises(ValidationError, match="'port' was unexpected"):
        validate(wrong, NEWEST)


def test_every_process_of_this_version_has_a_deployment(manifests: list[Manifest]) -> None:
    found = {name: pod for name, pod in pods(manifests).items() if name != "migrate"}
    assert set(found) == set(SERVICES)
    for name, pod in found.items():
        assert pod["spec"]["containers"][0]["args"] == [module(name)]
        assert importlib.util.find_spec(f"{module(name)}.__main__") is not None


def test_every_pod_is_restricted(manifests: list[Manifest]) -> None:
    """As the pod security standard "restricted" wants it, and a read-only root file system beside."""
    for pod in pods(manifests).values():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] >= 1000
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False, "OUTRIDER_API_SERVICE_HOST would be an unknown setting"
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys()
        assert {next(iter(volume.keys() - {"name"})) for volume in spec["volumes"]} <= {"emptyDir", "secret"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]


def test_every_port_has_a_name_that_its_service_knows(manifests: list[Manifest]) -> None:
    for one in of_kind(manifests, "Deployment"):
        container = one["spec"]["template"]["spec"]["containers"][0]
        ports = {port["name"] for port in container["ports"]}
        assert {container[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")} <= ports
    for service in of_kind(manifests, "Service"):
        wanted = {port["targetPort"] for port in service["spec"]["ports"]}
        chosen = [pod for pod in pods(manifests).values() if service["spec"]["selector"].items() <= labels(pod).items()]
        assert chosen
        assert wanted <= {port["name"] for pod in chosen for port in pod["spec"]["containers"][0].get("ports", [])}


def environment(manifests: Sequence[Manifest], component: str) -> dict[str, str]:
    """What a container finds, the Secret filled by `outrider keys new`."""
    container = pods(manifests)[component]["spec"]["containers"][0]
    found = {one["name"]: SECRETS[one["valueFrom"]["secretKeyRef"]["key"]] for one in container["env"]}
    configs = {one["metadata"]["name"]: one["data"] for one in of_kind(manifests, "ConfigMap")}
    for source in container.get("envFrom", []):
        found.update(configs[source["configMapRef"]["name"]])
    return found


@pytest.mark.parametrize("component", SERVICES)
def test_every_service_can_read_its_settings(manifests: list[Manifest], component: str) -> None:
    settings = Settings.from_env(environment(manifests, component))
    assert settings.database_url.startswith(f"postgresql://{role(component)}:")
    assert settings.health_listen == "0.0.0.0:9000"
    assert 0 < settings.linger_seconds < kernel.STOP_SECONDS
    assert bool(settings.seal_private_key) == (component in {"sender", "reply-watcher"})
    assert bool(settings.operator_token) == (component == "api")
    assert bool(settings.webhook_seal_public_key) == (component == "api")
    assert bool(settings.webhook_seal_private_key) == (component == "webhooks")


def test_the_migration_is_given_the_owner_and_every_role(manifests: list[Manifest]) -> None:
    found = environment(manifests, "migrate")
    assert found["OUTRIDER_DATABASE_URL"] == SECRETS["DATABASE_URL_OWNER"]
    passwords = {role.replace("outrider_", "OUTRIDER_ROLE_PASSWORD_", 1).upper() for role in ROLES}
    assert passwords | {"OUTRIDER_DATABASE_URL", "OUTRIDER_NATS_URL"} == set(found)


def test_no_container_is_given_a_variable_twice(manifests: list[Manifest]) -> None:
    """Server-side apply merges by name, and wants each once."""
    for component, pod in pods(manifests).items():
        names = [one["name"] for container in pod["spec"]["containers"] for one in container.get("env", ())]
        assert len(names) == len(set(names)), component


def test_no_secret_lies_anywhere_but_in_the_secret(manifests: list[Manifest]) -> None:
    assert not of_kind(manifests, "Secret")
    secret = re.compile(r"KEY|TOKEN|PASSWORD|DATABASE_URL|NATS_URL")
    for one in of_kind(manifests, "ConfigMap"):
        assert not [name for name in one["data"] if secret.search(name)]
    for pod in pods(manifests).values():
        assert not [one["name"] for one in pod["spec"]["containers"][0]["env"] if "value" in one]


def test_every_flow_has_a_policy(manifests: list[Manifest]) -> None:
    policies = of_kind(manifests, "NetworkPolicy")
    (nothing,) = [one for one in policies if "egress" not in one["spec"] and "ingress" not in one["spec"]]
    for pod in pods(manifests).values():
        assert nothing["spec"]["podSelector"]["matchLabels"].items() <= labels(pod).items()
    reached = {
        component: {
            port["port"]
            for one in policies
            if one["spec"]["podSelector"]["matchLabels"].items() <= labels(pod).items()
            for rule in one["spec"].get("egress", [])
            for port in rule["ports"]
        }
        for component, pod in pods(manifests).items()
    }
    servers = {5432, 4222, 53}
    tokens = {urlsplit(url).port or 443 for url in PROVIDERS.values()}
    assert reached.pop("sender") == servers | {25, 465, 587, 2525} | tokens
    assert reached.pop("reply-watcher") == servers | {143, 993} | tokens
    assert reached.pop("webhooks") == servers | {443, 8443}
    assert set(map(frozenset, reached.values())) == {frozenset(servers)}


def test_a_resolver_on_another_port_is_let_through() -> None:
    found = rendered(MINIMAL, "settings.dns=10.0.0.53:5353")
    ports = {
        port["port"]
        for one in of_kind(found, "NetworkPolicy")
        for rule in one["spec"].get("egress", [])
        for port in rule["ports"]
        if port["protocol"] == "UDP"
    }
    assert ports == {5353}


def test_traces_flow_where_a_collector_is_named() -> None:
    found = rendered(MINIMAL, "monitoring.traces.endpoint=http://collector:4318")
    (policy,) = [one for one in of_kind(found, "NetworkPolicy") if one["metadata"]["name"].endswith("-traces-out")]
    assert [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]] == [4318]
    assert environment(found, "sender")["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"
    assert not [name for name in environment(rendered(MINIMAL), "sender") if name.startswith("OTEL_")]


def test_grafanas_sidecar_is_given_every_dashboard() -> None:
    found = rendered(MINIMAL, "monitoring.dashboards.enabled=true")
    given = [one for one in of_kind(found, "ConfigMap") if one["metadata"]["labels"].get("grafana_dashboard") == "1"]
    texts = [json.loads(text) for one in given for text in one["data"].values()]
    files = (CHART / "files/dashboards").glob("*.json")
    assert sorted(one["uid"] for one in texts) == sorted(json.loads(file.read_text())["uid"] for file in files)


def test_servers_of_customers_on_private_addresses_cannot_be_reached(manifests: list[Manifest]) -> None:
    mail = [
        rule
        for one in of_kind(manifests, "NetworkPolicy")
        for rule in one["spec"].get("egress", [])
        if rule["ports"][0]["port"] in {25, 143, 443}
    ]
    assert len(mail) == 5
    for rule in mail:
        assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(rule["to"][0]["ipBlock"]["except"])


STEPS: Final = 5
"""Of stopping: the sender has as many."""
LONGEST_STOP_SECONDS: Final = (
    kernel.ALL_STEPS_SECONDS
    + STEPS * kernel.LEAST_STEP_SECONDS
    + kernel.CANCELLATIONS * kernel.CANCEL_SECONDS
    + kernel.CLOSE_SECONDS
    + kernel.EXPORT_SECONDS
)


def test_a_conversation_can_end_before_the_pod_is_killed(manifests: list[Manifest]) -> None:
    for name, pod in pods(manifests).items():
        grace = pod["spec"]["terminationGracePeriodSeconds"]
        if name != "migrate":
            assert kernel.STOP_SECONDS < streams.ACK_WAIT_SECONDS < grace
            assert grace > LONGEST_STOP_SECONDS
            assert "lifecycle" not in pod["spec"]["containers"][0], "it would not know yet, and say that it is ready"


def test_the_roll_out_that_is_tested_is_the_one_of_the_chart(manifests: list[Manifest]) -> None:
    (config,) = of_kind(manifests, "ConfigMap")[:1]
    assert float(config["data"]["OUTRIDER_LINGER_SECONDS"]) == LINGER_SECONDS
    for one in of_kind(manifests, "Deployment"):
        assert one["spec"]["strategy"] == {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
        }
        assert one["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == GRACE_SECONDS
        assert one["spec"].get("replicas", REPLICAS) >= REPLICAS


def test_the_tracking_host_answers_nothing_but_tracking() -> None:
    found = rendered(str(HERE / "deploy/helm/examples/production.yaml"))
    paths = {
        rule["host"]: [path["path"] for path in rule["http"]["paths"]]
        for one in of_kind(found, "Ingress")
        for rule in one["spec"]["rules"]
    }
    assert paths == {"api.example.com": ["/"], "track.example.com": ["/t", "/u"]}


def test_replicas_are_left_to_whoever_scales() -> None:
    found = rendered("existingSecret=s", "services.api.autoscaling.type=cpu")
    with_count = {
        one["metadata"]["labels"]["app.kubernetes.io/component"]
        for one in of_kind(found, "Deployment")
        if "replicas" in one["spec"]
    }
    assert with_count == set(SERVICES) - {"api"}
    (scaler,) = of_kind(found, "HorizontalPodAutoscaler")
    assert scaler["spec"]["scaleTargetRef"]["name"] == "o-outrider-api"


def test_a_plain_migration_job_is_another_one_for_another_image() -> None:
    def name(*values: str) -> str:
        (job,) = of_kind(rendered("existingSecret=s", "migrate.mode=job", *values), "Job")
        assert "helm.sh/hook" not in (job["metadata"].get("annotations") or {})
        found: str = job["metadata"]["name"]
        return found

    assert name() == name()
    assert name() != name("image.tag=0.2.0")
    (hook,) = of_kind(rendered("existingSecret=s"), "Job")
    assert hook["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert not of_kind(rendered("existingSecret=s", "migrate.mode=none"), "Job")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "existingSecret"),
        (["existingSecret=s", "services.sender.replcas=3"], "replcas"),
        (["existingSecret=s", "settings.publicUrl=track.example.com"], "/settings/publicUrl"),
        (["existingSecret=s", "terminationGracePeriodSeconds=20"], "/terminationGracePeriodSeconds"),
        (["existingSecret=s", "settings.lingerSeconds=15"], "/settings/lingerSeconds"),
        (["existingSecret=s", "services.api.autoscaling.type=both"], "/services/api/autoscaling/type"),
        (["existingSecret=s", "services.sender.autoscaling.type=keda"], "which only the dispatcher has"),
        (["existingSecret=s", "services.dispatcher.autoscaling.type=keda"], "natsMonitoring"),
        (["existingSecret=s", "gateway.enabled=true"], "/gateway/parentRefs"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(values: list[str], said: str) -> None:
    done = helm("template", "o", str(CHART), *(part for one in values for part in ("--set", one)))
    assert done.returncode != 0
    assert said in done.stderr


def test_the_docs_list_every_key_of_the_secret() -> None:
    text = (HERE / "docs/kubernetes.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))
    assert listed == set(SECRETS)
