"""The files in deploy/ are valid, and name what the documentation creates for them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.optional import needed

ROOT = Path(__file__).parents[1]
MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
UNIT = ROOT / "deploy" / "systemd" / "distribute-challenge-worker.service"

#: The version whose schemas the page on Kubernetes names.
KUBERNETES = "1.37"


def resources(manifest: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(manifest.read_text()))


def pods(manifest: Path) -> list[dict[str, Any]]:
    """The descriptions of pods in a manifest."""
    specs = (resource["spec"] for resource in resources(manifest))
    return [spec["template"]["spec"] for spec in specs if "template" in spec]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_fits_the_schemas_of_kubernetes(manifest: Path) -> None:
    kubernetes_validate: Any = needed("kubernetes_validate")
    for resource in resources(manifest):
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)


def test_the_page_names_the_manifests_and_the_version_of_the_schemas() -> None:
    page = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text()
    assert f"Kubernetes {KUBERNETES}" in page
    assert [path.name for path in MANIFESTS if f"`{path.name}`" not in page] == []


def test_manifests_use_the_keys_of_the_secret_that_the_page_creates() -> None:
    page = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text()
    created = set(re.findall(r"--from-literal=([\w-]+)=", page))
    used = {
        variable["valueFrom"]["secretKeyRef"]["key"]
        for manifest in MANIFESTS
        for pod in pods(manifest)
        for container in pod["containers"]
        for variable in container["env"]
        if "valueFrom" in variable
    }
    assert used == created == {"secret", "redis-password"}


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_no_container_has_more_rights_than_it_needs(manifest: Path) -> None:
    for pod in pods(manifest):
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }


def test_the_page_on_systemd_shows_the_unit() -> None:
    page = (ROOT / "docs" / "how-to" / "systemd.md").read_text()
    assert f"```ini\n{UNIT.read_text()}```" in page


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / UNIT.name
    # It checks that the program exists, which is installed on workers' machines only.
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text()))
    done = subprocess.run(
        [verify, "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if UNIT.name in line]) == (
        0,
        [],
    )
