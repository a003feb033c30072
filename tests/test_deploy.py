"""`deploy/` and the operator's page name metrics that exist, and their files are well-formed."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.observed import RpcMetrics
from core.model.types import ChainId
from core.runtime.clock import SystemClock
from core.runtime.metrics import PREFIX, Metrics
from core.runtime.supervisor import Supervisor
from core.runtime.web.application import build_application
from indexer.metrics import IndexerMetrics
from regulator_api.rules.engine import RulesMetrics
from relayer.metrics import RelayerMetrics

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
ROOMS = ("core", "adapters", "htlc", "queries", "indexer", "relayer", "regulator_api", "gateway")
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


@pytest.mark.parametrize(
    "page", [page for page in PAGES if NAMED.search(page.read_text(encoding="utf-8"))], ids=lambda page: page.name
)
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
    """The labels of every metric that our processes register."""
    metrics = Metrics()
    RelayerMetrics(metrics)
    IndexerMetrics(metrics)
    RulesMetrics(metrics)
    RpcMetrics(metrics, ChainId("eip155:1"))
    Supervisor(SystemClock(), metrics)
    build_application([], title="none", version="0", metrics=metrics, clock=SystemClock())
    return {PREFIX + name: made._labelnames for name, made in metrics._known.items()}


SERVICE_KEYS = {
    *("image", "build", "restart", "environment", "secrets", "volumes", "healthcheck", "depends_on", "entrypoint"),
    *("ports", "ulimits", "read_only", "tmpfs", "cap_drop", "security_opt", "stop_grace_period"),
}
"""Of the Compose specification, those in use: a misspelt one is not."""


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


def test_the_compose_file_is_whole() -> None:
    whole = compose()
    assert set(whole) == {"services", "secrets", "volumes"}
    assert set(whole["services"]) == {"database", "relayer", "prometheus", "grafana"}
    for service in whole["services"].values():
        assert set(service) <= SERVICE_KEYS
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert source in ("./config",) or (DEPLOY / source).exists(), source
            else:
                assert source in whole["volumes"]
        for secret in service.get("secrets", ()):
            assert secret in whole["secrets"]
        for other, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert "healthcheck" in whole["services"][other]
    build = whole["services"]["relayer"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).exists()


def test_the_compose_file_opens_nothing_to_other_machines() -> None:
    for service in compose()["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        tag = service.get("image", "built:here").rpartition(":")[2]
        assert tag not in ("", "latest")
    relayer = compose()["services"]["relayer"]
    assert relayer["read_only"] is True
    assert relayer["cap_drop"] == ["ALL"]


def test_the_compose_file_leaves_variables_to_the_shell() -> None:
    """Compose replaces `$NAME` itself, and takes `$$` for one `$`."""
    script = compose()["services"]["relayer"]["entrypoint"][-1]
    assert script.count("$") == 2 * script.count("$$")
    done = subprocess.run(["sh", "-n", "-c", script.replace("$$", "$")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_holds_keys_is_neither_committed_nor_built_in() -> None:
    secrets = {secret["file"].removeprefix("./").split("/")[0] for secret in compose()["secrets"].values()}
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    for folder in (*secrets, "config"):
        assert f"/deploy/{folder}/" in ignored
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    assert not any(path.parts[0] in ("deploy", ".venv", ".git") for path in built_in())


def built_in() -> list[Path]:
    """Return what `.dockerignore` lets into an image's build: it names everything that is not left out."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [ROOT / line[1:] for line in lines if line.startswith("!")]
    assert [path for path in kept if not path.exists()] == []
    files = [file for path in kept for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    return [file.relative_to(ROOT) for file in files if "__pycache__" not in file.parts]


def test_the_package_is_whole_when_built_from_what_an_image_has(tmp_path: Path) -> None:
    source, wheels = tmp_path / "src", tmp_path / "wheels"
    for path in built_in():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, source / path)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", wheels, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        packed = set(wheel.namelist())
    needed = {str(path) for path in built_in() if path.suffix in (".py", ".json", ".sol", ".typed") and path.parts[1:]}
    assert needed - packed == set()


def test_the_container_installs_what_is_locked() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    assert "--require-hashes -r requirements.lock" in text
    assert "USER causeway" in text
    assert "--no-deps --no-build-isolation ." in text
    wanted = re.search(r"sed -n '([^']+)' requirements-dev.lock", text)
    assert wanted is not None
    lock = ROOT / "requirements-dev.lock"
    found = subprocess.run(["sed", "-n", wanted[1], lock], capture_output=True, text=True, check=True).stdout
    assert found.startswith("setuptools==")
    assert found.count("==") == 1
    assert found.count("--hash=sha256:") >= 1


def test_the_container_file_keeps_the_usual_rules() -> None:
    """Those of hadolint that a reader cannot see at once."""
    lines = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    given: dict[str, list[str]] = {}
    for word, rest in steps:
        given.setdefault(word, []).append(rest)
    assert all(":" in image and ":latest" not in image for image in given["FROM"])
    assert all("--no-cache-dir" in one for run in given["RUN"] for one in run.split("&&") if "pip install" in one)
    assert all(json.loads(words) for words in (*given["ENTRYPOINT"], *given["CMD"]))
    assert all(place.startswith("/") for place in given["WORKDIR"])
    assert [word for word, _ in steps].index("ENTRYPOINT") > [word for word, _ in steps].index("USER")
    assert given["USER"] == ["causeway"]
    (port,) = given["EXPOSE"]
    assert compose()["services"]["relayer"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"relayer:{port}" in (DEPLOY / "prometheus.yml").read_text()


UNITS = sorted((*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_its_units(tmp_path: Path) -> None:
    assert len(UNITS) == 4
    copies = [tmp_path / unit.name for unit in UNITS]
    for unit, copy in zip(UNITS, copies, strict=True):
        text = unit.read_text().replace("User=causeway", "User=root")
        copy.write_text(text.replace("/opt/causeway/bin/causeway", "/bin/true"))  # It has to be there.
    done = subprocess.run(["systemd-analyze", "verify", *copies], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.replace(str(tmp_path), "")) == (0, "")


def test_a_unit_of_a_daemon_is_started_again_unless_that_is_vain() -> None:
    daemons = [unit.read_text() for unit in UNITS if " run --config" in unit.read_text()]
    assert len(daemons) == 2
    for text in daemons:
        assert "Restart=always" in text
        assert re.search(r"^RestartPreventExitStatus=(0 )?1 3$", text, re.MULTILINE)
        assert " --json" in text


def test_the_relayer_s_health_check_asks_for_liveness() -> None:
    """One that asked for readiness would end processes that stand by, and exits with them."""
    script = compose()["services"]["relayer"]["healthcheck"]["test"]
    assert script[:3] == ["CMD", "python", "-c"]
    compile(script[3], "healthcheck", "exec")
    (port,) = re.findall(r"^EXPOSE (\d+)$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    assert f"http://127.0.0.1:{port}/healthz" in script[3]


SELECTED = re.compile(r"(causeway_[a-z_]+|\bup)\{([^}]*)\}")
GROUPED = re.compile(r"\b(?:by|on|without|ignoring) ?\(([^)]*)\)")
SHOWN = re.compile(r"\$labels\.(\w+)|\{\{ ?(\w+) ?\}\}")
ALWAYS = {"instance", "job"}
"""Labels that a scrape adds."""


def labels_of(expression: str) -> set[str]:
    """The labels that some metric of an expression has."""
    known = registered()
    names = (name for name in NAMED.findall(expression))
    plain = {
        next((name.removesuffix(end) for end in SUFFIXES if name.removesuffix(end) in known), name) for name in names
    }
    buckets = {"le"} if "_bucket" in expression else set()
    return ALWAYS | buckets | {label for name in plain for label in known.get(name, ())}


def expressions() -> list[tuple[str, str, str]]:
    """Every expression of an alert or a panel: whose it is, itself, and the text that shows its labels."""
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    found = [
        (rule["alert"], rule["expr"], " ".join(rule["annotations"].values()))
        for group in groups
        for rule in group["rules"]
    ]
    for panel in json.loads((DEPLOY / "grafana/dashboards/causeway.json").read_text())["panels"]:
        found += [(panel["title"], target["expr"], target.get("legendFormat", "")) for target in panel["targets"]]
    return found


@pytest.mark.parametrize(("whose", "expression", "text"), expressions(), ids=lambda value: str(value)[:40])
def test_an_expression_asks_for_labels_that_its_metrics_have(whose: str, expression: str, text: str) -> None:
    """One that does not exist selects nothing, groups nothing, and shows an empty text, without any error."""
    for name, selectors in SELECTED.findall(expression):
        asked = set(re.findall(r"(\w+) ?(?:=~|!~|!=|=)", selectors))
        assert asked, (whose, selectors)
        assert asked <= (ALWAYS if name == "up" else labels_of(name)), whose
    for names in GROUPED.findall(expression):
        assert {name.strip() for name in names.split(",")} <= labels_of(expression), whose
    assert {one or two for one, two in SHOWN.findall(text)} <= labels_of(expression), whose


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian's prometheus) is not installed")
def test_prometheus_takes_its_files() -> None:
    for arguments in (["check", "rules", "alerts.yml"], ["check", "config", "prometheus.yml"]):
        done = subprocess.run(["promtool", *arguments], cwd=DEPLOY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_pre_commit_runs_programs_of_lint() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"  # nothing is fetched
    recipe = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0].replace("$(BIN)", ".venv/bin")
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].removesuffix(" --fix") in recipe, hook["id"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian's prometheus) is not installed")
def test_prometheus_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    panels = json.loads((DEPLOY / "grafana/dashboards/causeway.json").read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    command = ["promtool", "check", "rules", "rules.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(asked)} rules found" in done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian's prometheus) is not installed")
def test_an_alert_is_about_pauses_that_came_by_themselves(tmp_path: Path) -> None:
    """An operator who pauses something is not woken for it."""
    shutil.copy(DEPLOY / "alerts.yml", tmp_path)
    series = [
        {"series": f'causeway_relayer_paused{{scope="{scope}", cause="{cause}"}}', "values": values}
        for scope, cause, values in (
            ("eip155:1", "low-gas", "0 1x9"),
            ("eip155:10", "finality-stall", "1 0x9"),
            ("all", "operator", "1x10"),
            ("all", "drain", "1x10"),
        )
    ]
    summary = "eip155:1 is paused by itself (low-gas): nothing new is quoted or locked there"
    runbook = "docs/operating/alarms.md#causewaypaused"
    fires = {
        "exp_labels": {"severity": "warn", "scope": "eip155:1", "cause": "low-gas"},
        "exp_annotations": {"summary": summary, "runbook": runbook},
    }
    test = {
        "interval": "1m",
        "input_series": series,
        "alert_rule_test": [
            {"eval_time": "1m", "alertname": "CausewayPaused", "exp_alerts": []},
            {"eval_time": "5m", "alertname": "CausewayPaused", "exp_alerts": [fires]},
        ],
    }
    whole = {"rule_files": ["alerts.yml"], "evaluation_interval": "15s", "tests": [test]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(whole))
    command = ["promtool", "test", "rules", "test.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
