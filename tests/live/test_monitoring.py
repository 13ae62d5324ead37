"""Prometheus scrapes a real deployment: what is documented is there, and each alert can fire.

Uses the programs of Debian's package ``prometheus``.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from rig import tiny
from rig.ports import free_port
from rig.programs import program
from rig.served import Load, Served

pytestmark = pytest.mark.live

MONITORING = Path(__file__).parents[2] / "docs/monitoring"
RULES = MONITORING / "alerts.yml"
PAGE = (MONITORING / "README.md").read_text()
BOARD = json.loads((MONITORING / "dashboard.json").read_text())
SELECTOR = re.compile(r"\b(?:up|shadowserve_\w+)(?:\{[^}]*\})?")
ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
}
# Each alert's name, and the series under which it fires: values as promtool writes them, a minute apart.
FIRING = {
    "ShadowserveDown": {'up{job="shadowserve"}': "0x30"},
    "ShadowserveAnswersFail": {
        'shadowserve_requests_total{job="shadowserve", outcome="answered"}': "0+100x30",
        'shadowserve_requests_total{job="shadowserve", outcome="failed"}': "0+2x30",
    },
    "ShadowserveTurnsCallersAway": {
        'shadowserve_requests_total{job="shadowserve", outcome="answered"}': "0+100x30",
        'shadowserve_requests_total{job="shadowserve", outcome="overloaded"}': "0+20x30",
    },
    "ShadowserveRefusesCallers": {
        'shadowserve_requests_total{job="shadowserve", outcome="answered"}': "0+100x60",
        'shadowserve_requests_total{job="shadowserve", outcome="rejected"}': "0+20x60",
    },
    "ShadowserveJournalLosesRequests": {
        'shadowserve_requests_total{job="shadowserve", outcome="append_failed"}': "0+1x60"
    },
    "ShadowserveRejects": {
        'shadowserve_verdict{job="shadowserve", challenger="4", verdict="reject"}': "1x60"
    },
    "ShadowserveFindsAlarm": {
        'shadowserve_findings{job="shadowserve", challenger="4", severity="critical"}': "1x60",
        'shadowserve_findings{job="shadowserve", challenger="4", severity="note"}': "3x60",
    },
    "ShadowserveReportUnreadable": {
        'shadowserve_report_readable{job="shadowserve", challenger="4"}': "0x60"
    },
    "ShadowserveLaneStands": {
        'shadowserve_lane_state{job="shadowserve", role="challenger", version="4", state="degraded"}': "1x60"
    },
    "ShadowserveLaneBehind": {
        'shadowserve_lane_lag_seconds{job="shadowserve", role="challenger", version="4"}': "1000x60"
    },
    "ShadowserveLaneLosesRequests": {
        'shadowserve_lane_requests_total{job="shadowserve", role="challenger", version="4", outcome="skipped_budget"}': "0+5x60"
    },
    "ShadowserveProcessesDie": {
        'shadowserve_process_ends_total{job="shadowserve", process="challenger-v4", cause="crash"}': "0+1x60"
    },
    "ShadowserveLedgerUnbalanced": {'shadowserve_ledger_balanced{job="shadowserve"}': "0x60"},
    "ShadowserveEvidenceWaits": {'shadowserve_evidence_age_seconds{job="shadowserve"}': "1000x60"},
}
# The same series on a good day.
CALM = {
    "up": "1x60",
    'outcome="answered"': "0+100x60",
    'outcome="': "0x60",
    "shadowserve_report_readable": "1x60",
    "shadowserve_ledger_balanced": "1x60",
    'severity="note"': "3x60",
    "": "0x60",
}


def calm(series: str) -> str:
    return next(values for part, values in CALM.items() if part in series)


def documented(title: str) -> dict[str, tuple[str, set[str]]]:
    """Return type and labels of each name in the table below a title."""
    section = PAGE.partition(f"\n## {title}")[2].partition("\n## ")[0]
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| [^|]* \| ([^|]*)\| [^|]* \|$", section, re.MULTILINE
    )
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def exposed(text: str) -> dict[str, tuple[str, set[str]]]:
    """Return type and labels of each name that a port told."""
    found = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for one in family.samples for label in one.labels} - {"le"}
        found[name] = (family.type, labels)
    return found


def promtool_test(folder: Path, tests: list[dict]) -> subprocess.CompletedProcess:
    """Run unit tests of the rules."""
    file = folder / "alerts_test.yml"
    told = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
    file.write_text(yaml.safe_dump(told))
    command = [program("promtool", package="prometheus"), "test", "rules", str(file)]
    return subprocess.run(command, capture_output=True, text=True)


def case(alert: str, series: dict[str, str], *, fires: bool) -> dict:
    expected = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})'
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": expected,
                "eval_time": "30m" if "x30" in "".join(series.values()) else "60m",
                "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
            }
        ],
    }


def test_the_rules_are_sound():
    command = [program("promtool", package="prometheus"), "check", "rules", str(RULES)]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr


def test_every_alert_is_documented_and_says_what_to_do():
    section = PAGE.partition("\n## Alerts")[2]
    assert list(ALERTS) == re.findall(r"^\| `(Shadowserve\w+)` \|", section, re.MULTILINE)
    assert list(ALERTS) == list(FIRING)
    for rule in ALERTS.values():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "description"}


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_and_not_on_a_good_day(alert, tmp_path):
    wrong = FIRING[alert]
    made = promtool_test(tmp_path, [case(alert, wrong, fires=True)])
    assert made.returncode == 0, made.stdout + made.stderr
    good = {series: calm(series) for series in wrong}
    made = promtool_test(tmp_path, [case(alert, good, fires=False)])
    assert made.returncode == 0, made.stdout + made.stderr


@pytest.fixture(scope="module")
def served(tmp_path_factory, store) -> Served:
    """A deployment with a challenger, a control, answers, and a refusal."""
    root = tmp_path_factory.mktemp("monitored")
    with Served(root, store, challengers=(tiny.BETTER,)) as served:
        with Load(served) as load:
            served.until(lambda: load.n >= 200, "200 answers")
        assert served.client.post(f"{served.url}/invocations", json=[]).status_code == 400
        assert served.client.get(f"{served.url}/nowhere").status_code == 404
        served.settled()
        yield served


def scraped(url: str) -> str:
    answer = httpx.get(f"{url}/metrics", trust_env=False)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


def test_the_data_plane_tells_what_is_documented_and_nothing_else(served):
    assert exposed(scraped(served.url)) == documented("The data plane: port 3000")


def test_the_console_tells_what_is_documented_and_nothing_else(served):
    assert exposed(scraped(served.console)) == documented("The console: port 3001")


def test_names_and_help_keep_to_prometheuss_own_rules(served):
    checking = [program("promtool", package="prometheus"), "check", "metrics"]
    for url in (served.url, served.console):
        made = subprocess.run(checking, input=scraped(url), capture_output=True, text=True)
        assert made.returncode == 0, made.stdout + made.stderr


def test_figures_are_those_of_status_and_report(served):
    found = {
        (one.name, *sorted(one.labels.values())): one.value
        for url in (served.url, served.console)
        for family in text_string_to_metric_families(scraped(url))
        for one in family.samples
    }
    ledger, report = served.ledger(), served.report()
    for lane in ledger["lanes"]:
        who = (str(lane["version"]), lane["role"])
        assert found["shadowserve_lane_pending_requests", *who] == lane["pending"] == 0
        key = ("shadowserve_lane_requests_total", *sorted([*who, "both_ok"]))
        assert found[key] == lane["both_ok"]
        assert found["shadowserve_lane_state", *sorted([*who, "running"])] == 1.0
    number = str(tiny.BETTER)
    assert found["shadowserve_compared_requests_total", number] == report["compared"] >= 200
    mean = report["divergence"]["disagreement"]["mean"]
    assert found["shadowserve_disagreement_ratio", number] == pytest.approx(mean)
    assert found["shadowserve_verdict", *sorted([number, report["verdict"]])] == 1.0
    assert found["shadowserve_refusals_total", "wrong_protocol"] == 1.0
    assert found["shadowserve_refusals_total", "not_found"] == 1.0
    assert found["shadowserve_ledger_balanced",] == 1.0


@pytest.fixture(scope="module")
def prometheus(served, tmp_path_factory):
    """A real Prometheus that has scraped both ports, with our rules; yields a function that asks it."""
    folder = tmp_path_factory.mktemp("prometheus")
    port = free_port()
    targets = [url.removeprefix("http://") for url in (served.url, served.console)]
    settings = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(RULES)]
    settings["scrape_configs"][0]["static_configs"] = [{"targets": targets}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    talk = (folder / "talk.txt").open("wb")
    process = subprocess.Popen(
        [
            program("prometheus", package="prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=talk,
        stderr=talk,
    )

    def ask(query: str) -> list[dict]:
        answer = httpx.get(
            f"http://127.0.0.1:{port}/api/v1/query", params={"query": query}, trust_env=False
        ).json()
        assert answer["status"] == "success", (query, answer)
        return answer["data"]["result"]

    def both_up() -> bool:
        try:
            return [one["value"][1] for one in ask("up")] == ["1", "1"]
        except (httpx.HTTPError, ValueError):
            return False

    try:
        deadline = time.monotonic() + 60.0
        while not both_up():
            waits = process.poll() is None and time.monotonic() < deadline
            assert waits, (folder / "talk.txt").read_text()
            time.sleep(0.2)
        yield ask
    finally:
        process.terminate()
        process.wait(20)
        talk.close()


def expressions() -> dict[str, str]:
    """Return every question of rules and dashboard, as Grafana would ask it."""
    asked = {f"alert {name}": rule["expr"] for name, rule in ALERTS.items()}
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            text = target["expr"].replace("$challenger", ".*").replace("$__rate_interval", "1m")
            asked[f"panel {panel['title']} {target['refId']}"] = text
    for variable in BOARD["templating"]["list"]:
        if variable["type"] == "query":
            (query,) = re.findall(r"label_values\((\w+), \w+\)", variable["query"]["query"])
            asked[f"variable {variable['name']}"] = query
    return asked


def test_every_selector_of_rules_and_dashboard_finds_a_series(prometheus):
    asked = expressions()
    assert len(asked) >= len(ALERTS) + 16
    missing = []
    for place, text in asked.items():
        prometheus(text)  # is taken as it stands
        selectors = SELECTOR.findall(text)
        assert selectors, place
        missing += [(place, one) for one in selectors if not prometheus(one)]
    assert missing == []


def test_nothing_of_a_good_deployment_is_down(prometheus):
    firing = {one["metric"]["alertname"] for one in prometheus('ALERTS{alertstate="firing"}')}
    assert firing <= {"ShadowserveFindsAlarm", "ShadowserveRejects"}
