"""`deploy/` and the operator's page name metrics that exist, and their files are well-formed."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from adapters.observed import RpcMetrics
from core.model.types import ChainId
from core.runtime.clock import SystemClock
from core.runtime.metrics import PREFIX, Metrics
from core.runtime.supervisor import Supervisor
from core.runtime.web.application import build_application
from indexer.metrics import IndexerMetrics
from relayer.metrics import RelayerMetrics

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
ROOMS = ("core", "adapters", "htlc", "indexer", "relayer", "regulator_api", "gateway")
MADE = re.compile(r"\b(?:gauge|counter|histogram)\(\s*f?\"([a-z_]+)\"")
NAMED = re.compile(r"\bcauseway_[a-z_]+\b")
SUFFIXES = ("_bucket", "_sum", "_count")
PAGES = sorted((ROOT / "docs").rglob("*.md"))


@pytest.fixture(scope="module")
def metrics() -> set[str]:
    """Every name that some module asks the registry for, with the prefix."""
    sources = (path.read_text(encoding="utf-8") for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    return {f"causeway_{name}" for source in sources for name in MADE.findall(source)}


def unknown(text: str, metrics: set[str]) -> set[str]:
    names = {name for name in NAMED.findall(text) if not name.startswith("causeway_passphrase")}
    for suffix in SUFFIXES:
        names = {name.removesuffix(suffix) if name.removesuffix(suffix) in metrics else name for name in names}
    return names - metrics


def test_alerts_are_about_metrics_that_exist(metrics: set[str]) -> None:
    rules = [rule for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 10
    for rule in rules:
        assert unknown(rule["expr"], metrics) == set(), rule["alert"]
        assert rule["labels"]["severity"] in ("page", "warn")
        assert rule["annotations"]["summary"]


def test_the_dashboard_shows_metrics_that_exist(metrics: set[str]) -> None:
    panels = json.loads((DEPLOY / "grafana/dashboards/causeway.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        for target in panel["targets"]:
            assert NAMED.search(target["expr"])
            assert unknown(target["expr"], metrics) == set(), panel["title"]


@pytest.mark.parametrize("page", [page for page in PAGES if NAMED.search(page.read_text(encoding="utf-8"))], ids=str)
def test_a_page_names_metrics_that_exist(metrics: set[str], page: Path) -> None:
    assert unknown(page.read_text(encoding="utf-8"), metrics) == set()


def test_every_metric_is_on_its_page_with_its_labels(metrics: set[str]) -> None:
    page = (ROOT / "docs/operating/metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(causeway_\w+)` \| ([a-z, ]*?) ?\|", page, re.MULTILINE)
    documented = {name: tuple(filter(None, labels.split(", "))) for name, labels in rows}
    assert len(documented) == len(rows)
    assert documented == registered()
    assert set(documented) == metrics


def registered() -> dict[str, tuple[str, ...]]:
    """The labels of every metric that a relayer's process registers."""
    metrics = Metrics()
    RelayerMetrics(metrics)
    IndexerMetrics(metrics)
    RpcMetrics(metrics, ChainId("eip155:1"))
    Supervisor(SystemClock(), metrics)
    build_application([], title="none", version="0", metrics=metrics, clock=SystemClock())
    return {PREFIX + name: made._labelnames for name, made in metrics._known.items()}


def test_the_compose_file_is_whole() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert set(compose["services"]) == {"database", "relayer", "prometheus", "grafana"}
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert source in ("./config",) or (DEPLOY / source).exists(), source
            else:
                assert source in compose["volumes"]
        for secret in service.get("secrets", ()):
            assert secret in compose["secrets"]
    build = compose["services"]["relayer"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).exists()


def test_the_container_installs_what_is_locked() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    assert "--require-hashes -r requirements.lock" in text
    assert "USER causeway" in text
    assert "--no-deps ." in text


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian's prometheus) is not installed")
def test_prometheus_takes_its_files() -> None:
    for arguments in (["check", "rules", "alerts.yml"], ["check", "config", "prometheus.yml"]):
        done = subprocess.run(["promtool", *arguments], cwd=DEPLOY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
