"""Validates one resource against the schema that its own project publishes."""

import importlib
import json
import re
import sys
import types
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
from cloudcoil.models.prometheus_operator import v1 as operator

from fer_tools.shared import environment
from fer_tools.shared.report import Failed

# The oldest that the chart supports, and the newest whose schemas are published.
KUBERNETES = ("1.30", "1.37")
OPERATOR = {"ServiceMonitor": operator.ServiceMonitor, "PrometheusRule": operator.PrometheusRule}


def kubernetes(resource: dict) -> None:
    """A resource of Kubernetes itself; unknown fields are errors."""
    for version in KUBERNETES:
        try:
            kubernetes_validate.validate(resource, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            raise Failed(f"Kubernetes {version}: {'.'.join(str(p) for p in error.path)}: {error.message}") from error


def prometheus_operator(resource: dict) -> None:
    """A ServiceMonitor or PrometheusRule. Its types let unknown fields pass, so what they keep is compared."""
    try:
        kept = OPERATOR[resource["kind"]].model_validate(resource).model_dump(
            by_alias=True, exclude_unset=True, mode="json"
        )
    except ValueError as error:
        raise Failed(str(error)) from error
    lost = sorted(paths(resource["spec"]) - paths(kept["spec"]))
    if lost:
        raise Failed(f"fields that {resource['kind']} does not have: {lost}")


def paths(value: Any, at: str = "") -> set:
    """The names of all fields, with their path."""
    if isinstance(value, dict):
        return {name for key, inner in value.items() for name in {f"{at}.{key}"} | paths(inner, f"{at}.{key}")}
    if isinstance(value, list):
        return {name for inner in value for name in paths(inner, f"{at}[]")}
    return set()


def definitions() -> dict:
    """Kubernetes' own definitions of containers, volumes and the like, strict."""
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    file = folder / f"v{KUBERNETES[-1]}.0-local-strict" / "_definitions.json"
    return json.loads(file.read_text(encoding="utf-8"))["$defs"]


def core(value: Any, kind: str, at: str) -> None:
    """A part that Kubernetes defines, such as V1Container."""
    known = definitions()
    name = next((n for n in known if re.fullmatch(rf"io\.k8s\.api\.core\.v1\.{kind.removeprefix('V1')}", n)), None)
    if name is None:
        name = {"ResourceQuantity": "io.k8s.apimachinery.pkg.api.resource.Quantity"}.get(kind)
    if name is None:
        raise Failed(f"{at}: no definition of {kind}")
    check(value, {"$ref": f"#/$defs/{name}", "$defs": known}, at)


def check(value: Any, schema: dict, at: str) -> None:
    """A JSON schema."""
    error = next(iter(jsonschema.Draft202012Validator(schema).iter_errors(value)), None)
    if error:
        raise Failed(f"{at}.{'.'.join(str(p) for p in error.absolute_path)}: {error.message}")


def kserve_models() -> types.ModuleType:
    """KServe's generated types, without the server that the package contains."""
    if "kserve" not in sys.modules:
        package = types.ModuleType("kserve")
        package.__path__ = [str(environment.apart("deploy-test", environment.pinned("kserve")) / "kserve")]
        sys.modules["kserve"] = package
    return importlib.import_module("kserve.models")


def kserve_type(value: Any, kind: str, at: str) -> None:
    """A value against one of KServe's types, field by field."""
    listed = re.fullmatch(r"list\[(.+)\]", kind)
    mapped = re.fullmatch(r"dict\(str, (.+)\)", kind)
    if listed:
        for number, inner in enumerate(value):
            kserve_type(inner, listed.group(1), f"{at}[{number}]")
    elif mapped:
        for key, inner in value.items():
            kserve_type(inner, mapped.group(1), f"{at}.{key}")
    elif kind in ("str", "int", "bool", "float"):
        types_of = {"str": str, "int": int, "bool": bool, "float": (int, float)}[kind]
        if not isinstance(value, types_of) or (kind == "int" and isinstance(value, bool)):
            raise Failed(f"{at}: {value!r} is not a {kind}")
    elif hasattr(kserve_models(), kind):
        model = getattr(kserve_models(), kind)
        fields = {external: model.openapi_types[internal] for internal, external in model.attribute_map.items()}
        if not isinstance(value, dict) or set(value) - set(fields):
            raise Failed(f"{at}: {kind} has no field {sorted(set(value) - set(fields))}")
        for key, inner in value.items():
            kserve_type(inner, fields[key], f"{at}.{key}")
    elif kind != "object":
        core(value, kind, at)


def serving_runtime(resource: dict) -> None:
    """KServe publishes no Python type for it: the fields of ServingRuntimeSpec (pkg/apis/serving/v1alpha1)."""
    known = definitions()

    def listing(name: str) -> dict:
        return {"type": "array", "items": {"$ref": f"#/$defs/io.k8s.api.core.v1.{name}"}}

    texts = {"type": "object", "additionalProperties": {"type": "string"}}
    formats = {
        "type": "object",
        "required": ["name"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string"},
            "version": {"type": "string"},
            "autoSelect": {"type": "boolean"},
            "priority": {"type": "integer", "minimum": 1},
        },
    }
    protocols = {"enum": ["v1", "v2", "grpc-v1", "grpc-v2"]}
    schema = {
        "$defs": known,
        "type": "object",
        "required": ["containers"],
        "additionalProperties": False,
        "properties": {
            "supportedModelFormats": {"type": "array", "items": formats},
            "protocolVersions": {"type": "array", "items": protocols},
            "multiModel": {"type": "boolean"},
            "disabled": {"type": "boolean"},
            "containers": listing("Container"),
            "volumes": listing("Volume"),
            "tolerations": listing("Toleration"),
            "imagePullSecrets": listing("LocalObjectReference"),
            "affinity": {"$ref": "#/$defs/io.k8s.api.core.v1.Affinity"},
            "nodeSelector": texts,
            "labels": texts,
            "annotations": texts,
            "hostIPC": {"type": "boolean"},
        },
    }
    check(resource["spec"], schema, "spec")
    if resource["spec"]["containers"][0]["name"] != "kserve-container":
        raise Failed("KServe looks for a container named kserve-container")


def validate(resource: dict) -> None:
    """Any resource, by its group."""
    group = resource["apiVersion"].rpartition("/")[0]
    if group == "monitoring.coreos.com":
        prometheus_operator(resource)
    elif resource["kind"] == "ServingRuntime":
        serving_runtime(resource)
    elif group == "serving.kserve.io":
        kserve_type(resource["spec"], f"V1beta1{resource['kind']}Spec", "spec")
    else:
        kubernetes(resource)
    name = resource["metadata"].get("name", "")
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name):
        raise Failed(f"metadata.name is {name!r}")


def kinds(resources: list[dict]) -> list[str]:
    """The kinds of resources, sorted."""
    return sorted(resource["kind"] for resource in resources)
