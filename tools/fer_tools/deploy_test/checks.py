"""The chart, KServe's resources, compose.yaml, the workflow, the alert rules and the dashboard."""

import json
import re
import subprocess
import sys
from pathlib import Path

import helm_python as helm
import yaml

from fer_tools.deploy_test.schemas import kinds, validate
from fer_tools.shared.project import ROOT, installed
from fer_tools.shared.report import Failed, check, require

CHART = ROOT / "deploy" / "helm" / "fer-serve"
# The resources that are always there, and a configuration with all others.
ALWAYS = ["Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount"]
EVERYTHING = {
    "model": {"volume": {"persistentVolumeClaim": {"claimName": "fer-model", "readOnly": True}}, "path": "v2"},
    "autoscaling": {"queueDepth": {"enabled": True}},
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "rules": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboard": {"enabled": True},
    },
    "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "fer-tls"},
    "networkPolicy": {
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "web"}}}],
        "egress": [{"ports": [{"port": 4317, "protocol": "TCP"}]}],
    },
    "server": {"env": {"FER_MAX_BODY": "5Mi"}},
    "podAnnotations": {"a": "b"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "imagePullSecrets": [{"name": "pull"}],
    "image": {"digest": "sha256:" + "0" * 64},
}
# Wrong values, and the name that the message must contain.
REFUSED = [
    ({"image": {"digest": "latest"}}, "digest"),
    ({"device": "gpu"}, "device"),
    ({"server": {"env": {"fer_listen": "x"}}}, "fer_listen"),
    ({"server": {"maxBuffered": "much"}}, "maxBuffered"),
    ({"replicaCount": 3}, "replicaCount"),
    ({"access": {"adminPort": 8080}}, "adminPort"),
    ({"server": {"otlpEndpoint": "collector:4317"}}, "otlpEndpoint"),
    ({"autoscaling": {"minReplicas": 0}}, "minReplicas"),
]


def render(values: dict) -> list[dict]:
    """The resources that Helm makes of the chart."""
    with helm.Chart.load(str(CHART)) as chart:
        files = chart.render(values, name="fer", namespace="web")
    texts = [text for name, text in files.items() if not name.endswith("NOTES.txt")]
    return [resource for text in texts for resource in yaml.safe_load_all(text) if resource]


def container(resources: list[dict]) -> dict:
    """The service's container."""
    deployment = next(resource for resource in resources if resource["kind"] == "Deployment")
    return deployment["spec"]["template"]["spec"]["containers"][0]


def environment(resources: list[dict]) -> dict:
    """Its environment: values, or the resource that a value follows."""
    return {e["name"]: e.get("value") or e["valueFrom"]["resourceFieldRef"]["resource"] for e in container(resources)["env"]}


@check("chart: lint")
def chart_lints(_: None) -> str:
    found = helm.lint(str(CHART))
    serious = [m for m in found["messages"] if m["severity"] > 1] + found["errors"]
    require(not serious, f"helm lint: {serious}")
    return f"Helm {helm.helm_sdk_version()}"


@check("chart: defaults")
def chart_default(_: None) -> str:
    resources = render({})
    for resource in resources:
        validate(resource)
    require(kinds(resources) == ALWAYS, f"there are {kinds(resources)}")
    variables = environment(resources)
    require(variables["FER_WORKERS"] == variables["FER_DECODE_THREADS"] == "limits.cpu", f"{variables}")
    require(variables["FER_MAX_PIXELS"] == "13000000", f"FER_MAX_PIXELS is {variables['FER_MAX_PIXELS']}")
    spec = next(r for r in resources if r["kind"] == "Deployment")["spec"]["template"]["spec"]
    drain = int(variables["FER_DRAIN_DELAY"][:-1]) + int(variables["FER_DRAIN_TIMEOUT"][:-1])
    require(spec["terminationGracePeriodSeconds"] > drain, "the drain does not fit the grace period")
    probes = [container(resources)[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")]
    require(probes == ["/readyz", "/readyz", "/livez"], f"probes ask {probes}")
    return ", ".join(kinds(resources))


@check("chart: everything on")
def chart_everything(_: None) -> str:
    resources = render(EVERYTHING)
    for resource in resources:
        validate(resource)
    more = sorted(set(kinds(resources)) - set(ALWAYS))
    require(more == ["ConfigMap", "Ingress", "PrometheusRule", "ServiceMonitor"], f"there are {more}")
    require(environment(resources)["FER_MODEL"] == "/models/v2", f"the model is at {environment(resources)['FER_MODEL']}")
    metrics = next(r for r in resources if r["kind"] == "HorizontalPodAutoscaler")["spec"]["metrics"]
    require([m["type"] for m in metrics] == ["Resource", "Pods"], f"the autoscaler looks at {metrics}")
    rules = next(r for r in resources if r["kind"] == "PrometheusRule")["spec"]["groups"][0]["rules"]
    require(rules == yaml.safe_load((CHART / "files" / "rules.yaml").read_text())["groups"][0]["rules"], "rules differ")
    dashboard = next(r for r in resources if r["kind"] == "ConfigMap")["data"]["fer-serve.json"]
    require(json.loads(dashboard)["uid"] == "fer-serve", "the dashboard is another one")
    return ", ".join(more)


@check("chart: GPU, no limit, everything off, keys and TLS, two ports")
def chart_variants(_: None) -> str:
    gpu = yaml.safe_load((CHART / "values-gpu.yaml").read_text(encoding="utf-8"))
    no_limit = {"resources": {"requests": {"cpu": 3, "memory": "1Gi"}, "limits": {"cpu": None}}}
    off = {"autoscaling": {"enabled": False}, "networkPolicy": {"enabled": False}, "podDisruptionBudget": {"enabled": False}}
    access = {"apiKeysSecret": "fer-keys", "tlsSecret": "fer-tls"}
    monitor = {"serviceMonitor": {"enabled": True}}
    closed = {"access": access, "metrics": monitor, "server": {"otlpEndpoint": "http://collector:4318"}}
    two_ports = {"access": {**access, "adminPort": 9090}, "metrics": monitor}
    web, watch = ([{"namespaceSelector": {"matchLabels": {"name": name}}}] for name in ("web", "watch"))
    fenced = {"access": {"adminPort": 9090}, "networkPolicy": {"from": web, "adminFrom": watch}}
    every = (
        ("gpu", gpu),
        ("no limit", no_limit),
        ("off", off),
        ("keys and TLS", closed),
        ("two ports", two_ports),
        ("peers of two ports", fenced),
    )
    made = {name: render(values) for name, values in every}
    for resources in made.values():
        for resource in resources:
            validate(resource)
    require("FER_WORKERS" not in environment(made["gpu"]), "workers on a GPU follow the processors")
    require(container(made["gpu"])["resources"]["limits"]["nvidia.com/gpu"] == 1, "no GPU is asked for")
    require(environment(made["no limit"])["FER_WORKERS"] == "requests.cpu", "without a limit threads follow the node")
    require(kinds(made["off"]) == ["Deployment", "Service", "ServiceAccount"], f"there are {kinds(made['off'])}")
    variables = environment(made["keys and TLS"])
    mounts = {m["mountPath"] for m in container(made["keys and TLS"])["volumeMounts"]}
    require({variables[f"FER_{n}"].rsplit("/", 1)[0] for n in ("API_KEYS", "TLS_CERT", "TLS_KEY")} == mounts, f"mounts are {mounts}")
    require(variables["FER_OTLP_ENDPOINT"] == "http://collector:4318", "spans go nowhere")
    for name, port, scheme in (("keys and TLS", "http", "HTTPS"), ("two ports", "admin", "HTTP")):
        asked = container(made[name])["livenessProbe"]["httpGet"]
        require((asked["port"], asked.get("scheme", "HTTP")) == (port, scheme), f"{name}: the probe asks {asked}")
        endpoint = next(r for r in made[name] if r["kind"] == "ServiceMonitor")["spec"]["endpoints"][0]
        require((endpoint["port"], endpoint.get("scheme", "http")) == (port, scheme.lower()), f"{name}: Prometheus asks {endpoint}")
    service = next(r for r in made["two ports"] if r["kind"] == "Service")["spec"]["ports"]
    require([p["port"] for p in service] == [80, 9090], f"the service has the ports {service}")
    ingress = next(r for r in made["peers of two ports"] if r["kind"] == "NetworkPolicy")["spec"]["ingress"]
    peers = [(rule["ports"][0]["port"], rule["from"]) for rule in ingress]
    require(peers == [("http", web), ("admin", watch)], f"the policy lets in {peers}")
    return ", ".join(made)


@check("chart: wrong values are refused")
def chart_refuses(_: None) -> str:
    """The schema rejects wrong values, the chart an administration port that is open to all."""
    unfenced = {"access": {"adminPort": 9090}}
    for values in (unfenced, {**unfenced, "networkPolicy": {"enabled": False, "adminFrom": [{}]}}):
        try:
            render(values)
        except helm.HelmError as error:
            require("networkPolicy.adminFrom" in str(error), f"{values}: the message does not say what to set: {error}")
        else:
            raise Failed(f"{values} were accepted")
    for values, named in REFUSED:
        try:
            with helm.Chart.load(str(CHART)) as loaded:
                loaded.validate_schema(loaded.merge_values(values))
        except helm.HelmError as error:
            require(named in str(error), f"{values}: the message does not name {named}: {error}")
        else:
            raise Failed(f"{values} were accepted")
    return f"{len(REFUSED) + 2} wrong values"


@check("KServe")
def kserve(_: None) -> str:
    resources = [r for f in sorted((ROOT / "deploy" / "kserve").glob("*.yaml")) for r in yaml.safe_load_all(f.read_text())]
    for resource in resources:
        validate(resource)
    require(kinds(resources) == ["InferenceService", "ServingRuntime"], f"there are {kinds(resources)}")
    broken = json.loads(json.dumps(resources[0]))
    broken["spec"]["predictor"]["model"]["storageURL"] = "x"
    try:
        validate(broken)
    except Failed:
        return ", ".join(kinds(resources))
    raise Failed("an unknown field was accepted")


def schema(name: str, files: list[Path]) -> None:
    """Validates files against a published schema that check-jsonschema carries."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", name, *map(str, files)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    require(done.returncode == 0, done.stdout)


@check("compose.yaml")
def compose(_: None) -> str:
    schema("vendor.compose-spec", [ROOT / "compose.yaml"])
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for name, service in services.items():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("./"):
                require((ROOT / source).exists(), f"{name} mounts {source}, which is not there")
    return ", ".join(services)


@check("workflow")
def workflow(_: None) -> str:
    files = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
    schema("vendor.github-workflows", files)
    schema("custom.github-workflows-require-timeout", files)
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    targets = re.findall(r"^\s*(make [a-z-]+)", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    missing = [target for target in targets if f"run: {target}\n" not in text]
    require(not missing, f".ci/run calls {missing}, the workflow does not")
    return ", ".join(targets)


@check("alert rules")
def prometheus(_: None) -> str:
    promtool = installed("promtool", "prometheus")

    def run(*words: object) -> None:
        command = [promtool, *map(str, words)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        require(done.returncode == 0, done.stdout)

    rules = CHART / "files" / "rules.yaml"
    run("check", "rules", rules)
    run("test", "rules", ROOT / "deploy" / "prometheus" / "rules_test.yaml")
    run("check", "config", "--syntax-only", ROOT / "deploy" / "compose" / "prometheus.yaml")
    return "rules, their tests, configuration"


@check("metric names in rules and dashboard")
def metric_names(_: None) -> str:
    """Rules and dashboard name only metrics of docs/metrics.md, which a test compares with /metrics."""
    known = set(re.findall(r"^\| `(fer_[a-z_]+)`", (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8"), re.MULTILINE))
    used = set()
    for file in ("rules.yaml", "dashboard.json"):
        used |= set(re.findall(r"\bfer_[a-z_]+", (CHART / "files" / file).read_text(encoding="utf-8")))
    unknown = {name for name in used if re.sub("_(bucket|sum|count)$", "", name) not in known} - {"fer_serve"}
    require(not unknown, f"no such metrics: {sorted(unknown)}")
    return f"{len(used)} metrics"
