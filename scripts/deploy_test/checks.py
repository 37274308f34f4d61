"""The checks of scripts/deploy-test."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, List, Tuple

import helm_python as helm
import yaml

from .schemas import Wrong, kinds, validate

# Configurations of the chart, and what they must hold beside the resources that are always there.
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


def render(chart_folder: Path, values: dict) -> List[dict]:
    """The resources that Helm makes of the chart."""
    with helm.Chart.load(str(chart_folder)) as chart:
        files = chart.render(values, name="fer", namespace="web")
    texts = [text for name, text in files.items() if not name.endswith("NOTES.txt")]
    return [resource for text in texts for resource in yaml.safe_load_all(text) if resource]


def container(resources: List[dict]) -> dict:
    """The service's container."""
    deployment = next(resource for resource in resources if resource["kind"] == "Deployment")
    return deployment["spec"]["template"]["spec"]["containers"][0]


def environment(resources: List[dict]) -> dict:
    """Its environment: values, or the resource that a value follows."""
    return {e["name"]: e.get("value") or e["valueFrom"]["resourceFieldRef"]["resource"] for e in container(resources)["env"]}


def require(condition: object, message: str) -> None:
    """Wrong unless the condition holds."""
    if not condition:
        raise Wrong(message)


def chart_lints(_: Path, chart: Path) -> str:
    found = helm.lint(str(chart))
    serious = [m for m in found["messages"] if m["severity"] > 1] + found["errors"]
    require(not serious, f"helm lint: {serious}")
    return f"Helm {helm.helm_sdk_version()}"


def chart_default(_: Path, chart: Path) -> str:
    resources = render(chart, {})
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


def chart_everything(_: Path, chart: Path) -> str:
    resources = render(chart, EVERYTHING)
    for resource in resources:
        validate(resource)
    more = sorted(set(kinds(resources)) - set(ALWAYS))
    require(more == ["ConfigMap", "Ingress", "PrometheusRule", "ServiceMonitor"], f"there are {more}")
    require(environment(resources)["FER_MODEL"] == "/models/v2", f"the model is at {environment(resources)['FER_MODEL']}")
    metrics = next(r for r in resources if r["kind"] == "HorizontalPodAutoscaler")["spec"]["metrics"]
    require([m["type"] for m in metrics] == ["Resource", "Pods"], f"the autoscaler looks at {metrics}")
    rules = next(r for r in resources if r["kind"] == "PrometheusRule")["spec"]["groups"][0]["rules"]
    require(rules == yaml.safe_load((chart / "files" / "rules.yaml").read_text())["groups"][0]["rules"], "rules differ")
    dashboard = next(r for r in resources if r["kind"] == "ConfigMap")["data"]["fer-serve.json"]
    require(json.loads(dashboard)["uid"] == "fer-serve", "the dashboard is another one")
    return ", ".join(more)


def chart_variants(_: Path, chart: Path) -> str:
    gpu = yaml.safe_load((chart / "values-gpu.yaml").read_text(encoding="utf-8"))
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
    made = {name: render(chart, values) for name, values in every}
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


def chart_refuses(_: Path, chart: Path) -> str:
    """What the schema refuses, and an administration port that is open to all."""
    unfenced = {"access": {"adminPort": 9090}}
    for values in (unfenced, {**unfenced, "networkPolicy": {"enabled": False, "adminFrom": [{}]}}):
        try:
            render(chart, values)
        except helm.HelmError as error:
            require("networkPolicy.adminFrom" in str(error), f"{values}: the message does not say what to set: {error}")
        else:
            raise Wrong(f"{values} were taken")
    for values, named in REFUSED:
        try:
            with helm.Chart.load(str(chart)) as loaded:
                loaded.validate_schema(loaded.merge_values(values))
        except helm.HelmError as error:
            require(named in str(error), f"{values}: the message does not name {named}: {error}")
        else:
            raise Wrong(f"{values} were taken")
    return f"{len(REFUSED) + 2} wrong values"


def kserve(root: Path, _: Path) -> str:
    resources = [r for f in sorted((root / "deploy" / "kserve").glob("*.yaml")) for r in yaml.safe_load_all(f.read_text())]
    for resource in resources:
        validate(resource)
    require(kinds(resources) == ["InferenceService", "ServingRuntime"], f"there are {kinds(resources)}")
    broken = json.loads(json.dumps(resources[0]))
    broken["spec"]["predictor"]["model"]["storageURL"] = "x"
    try:
        validate(broken)
    except Wrong:
        return ", ".join(kinds(resources))
    raise Wrong("an unknown field was taken")


def schema(root: Path, name: str, files: List[Path]) -> None:
    """A published schema that check-jsonschema brings."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", name, *map(str, files)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=root, check=False)
    require(done.returncode == 0, done.stdout)


def compose(root: Path, _: Path) -> str:
    schema(root, "vendor.compose-spec", [root / "compose.yaml"])
    services = yaml.safe_load((root / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for name, service in services.items():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("./"):
                require((root / source).exists(), f"{name} mounts {source}, which is not there")
    return ", ".join(services)


def workflow(root: Path, _: Path) -> str:
    files = sorted((root / ".github" / "workflows").glob("*.yaml"))
    schema(root, "vendor.github-workflows", files)
    schema(root, "custom.github-workflows-require-timeout", files)
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    wanted = re.findall(r"^\s*(make [a-z-]+)", (root / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    missing = [target for target in wanted if f"run: {target}\n" not in text]
    require(not missing, f".ci/run calls {missing}, the workflow does not")
    return ", ".join(wanted)


def prometheus(root: Path, chart: Path) -> str:
    promtool = shutil.which("promtool")
    if not promtool:
        return "*** SKIPPED: promtool is not installed (Debian, Ubuntu: sudo apt-get install prometheus)"
    rules = chart / "files" / "rules.yaml"
    for command in (["check", "rules", rules], ["test", "rules", root / "deploy" / "prometheus" / "rules_test.yaml"]):
        done = subprocess.run([promtool, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        require(done.returncode == 0, done.stdout)
    config = root / "deploy" / "compose" / "prometheus.yaml"
    done = subprocess.run(
        [promtool, "check", "config", "--syntax-only", config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    require(done.returncode == 0, done.stdout)
    return "rules, their tests, configuration"


def metric_names(root: Path, chart: Path) -> str:
    """Rules and dashboard name only metrics that the service has."""
    source = (root / "src" / "metrics.rs").read_text(encoding="utf-8")
    used = set()
    for file in ("rules.yaml", "dashboard.json"):
        used |= set(re.findall(r"\bfer_[a-z_]+", (chart / "files" / file).read_text(encoding="utf-8")))
    unknown = {name for name in used if f'"{re.sub("_(bucket|sum|count)$", "", name)}"' not in source} - {"fer_serve"}
    require(not unknown, f"no such metrics: {sorted(unknown)}")
    return f"{len(used)} metrics"


CHECKS: List[Tuple[str, Callable]] = [
    ("chart: lint", chart_lints),
    ("chart: defaults", chart_default),
    ("chart: everything on", chart_everything),
    ("chart: GPU, no limit, everything off, keys and TLS, two ports", chart_variants),
    ("chart: wrong values are refused", chart_refuses),
    ("KServe", kserve),
    ("compose.yaml", compose),
    ("workflow", workflow),
    ("alert rules", prometheus),
    ("metric names in rules and dashboard", metric_names),
]


def run(root: Path, chart: Path) -> int:
    """Every check, a line for each."""
    failed = skipped = 0
    for name, function in CHECKS:
        try:
            text = function(root, chart)
            skipped += "SKIPPED" in text
            print(f"{'skipped' if 'SKIPPED' in text else 'passed':8}{name}: {text}", flush=True)
        except Exception as error:  # whatever breaks a check has not passed it
            failed += 1
            print(f"failed  {name}: *** {type(error).__name__}: {error}", flush=True)
    print(f"{len(CHECKS) - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0
