"""`verdict` and `labels` on the command line, and what labels do to findings and limits."""

from __future__ import annotations

import asyncio
import json

import pandas as pd
import pytest
from click.testing import CliRunner

from rig.asgi import calling
from rig.deployment import deployment
from rig.labels import CHALLENGER, answers, serve, work
from shadowserve.cli import main
from shadowserve.cli.announcement import answers as compared_as
from shadowserve.cli.judging import summary
from shadowserve.console.app import Console
from shadowserve.errors import SettingsError
from shadowserve.judgement.verdict import Verdict
from shadowserve.report.build import build
from shadowserve.settings.policy import Policy
from shadowserve.versions.version import Version


def run(places, *words):
    return CliRunner().invoke(main, [*words, "--state-dir", str(places.root)])


def judged(tmp_path, *, better, n=3_000, n_labels=None):
    """Serve, compare, and let labels come for a challenger that is right more often, or less."""
    places, served = serve(tmp_path)
    truth, rows = answers(n, better=better)
    work(places, CHALLENGER, rows, part=True)
    table = pd.DataFrame({"request_id": [f"request-{i + 1}" for i in range(n)], "label": truth})
    n_labels = n_labels or n
    table[:n_labels].to_csv(tmp_path / "labels.csv", index=False)
    found = run(places, "labels", str(tmp_path / "labels.csv"))
    assert found.exit_code == 0, found.output
    assert f"{n_labels:,} labels joined; error" in found.stdout
    return places, served


def limits(told):
    return {limit["name"]: limit for limit in told["limits"]}


def test_labels_that_prove_a_challenger_better_make_its_disagreement_a_note(tmp_path):
    places, _ = judged(tmp_path, better=0.05)
    found = run(places, "verdict", "--json")
    told = json.loads(found.stdout)
    assert limits(told)["loss"]["state"] == "kept"
    assert "disagreement" not in limits(told)
    severities = {finding["kind"]: finding["severity"] for finding in told["findings"]}
    assert severities["prediction_divergence"] == "note"
    assert told["labels"]["loss"]["high"] < 0
    assert found.exit_code == Verdict(told["verdict"]).exit_code == 1  # times are still undecided


def test_labels_that_prove_a_challenger_worse_reject_it(tmp_path):
    places, _ = judged(tmp_path, better=-0.1)
    found = run(places, "verdict", "--json")
    told = json.loads(found.stdout)
    assert limits(told)["loss"]["state"] == "broken"
    assert (told["verdict"], found.exit_code) == ("reject", 3)


def test_labels_that_do_not_tell_yet_leave_an_alarm_and_say_how_many_more(tmp_path):
    places, _ = judged(tmp_path, better=-0.04, n=400)
    told = json.loads(run(places, "verdict", "--json").stdout)
    assert limits(told)["loss"]["state"] == "undecided"
    assert limits(told)["loss"]["more"] > 0
    assert limits(told)["loss"]["more_seconds"] is None  # labels come at their own pace


def test_too_few_labels_leave_the_decision_to_disagreement(tmp_path):
    places, _ = judged(tmp_path, better=0.2, n=400, n_labels=100)
    told = json.loads(run(places, "verdict", "--json").stdout)
    assert "loss" not in limits(told)
    assert limits(told)["disagreement"]["state"] == "broken"


def test_a_verdict_for_people_shows_limits_needs_findings_and_policy(tmp_path):
    places, _ = judged(tmp_path, better=0.05, n=500)
    shown = run(places, "verdict").stdout
    for part in ("Verdict: continue", "loss", "prediction_divergence", "max_loss_increase 0"):
        assert part in shown
    assert "about 500 requests" in shown  # coverage


@pytest.mark.parametrize(("verdict", "code"), [("promote", 0), ("continue", 1), ("reject", 3)])
def test_the_exit_code_says_the_verdict_and_time_follows_the_rate(tmp_path, verdict, code):
    places, served = serve(tmp_path)
    work(places, CHALLENGER, answers(5)[1], part=False)
    report = {**build(places, served, challenger=4), "verdict": verdict, "rate_per_s": 5.0}
    told = summary(report)
    assert told["exit_code"] == code
    assert limits(told)["coverage"]["more_seconds"] == pytest.approx(995 / 5)
    assert summary({**report, "rate_per_s": None})["limits"][0]["more_seconds"] is None


def test_misuse_and_nothing_served_have_exit_codes_of_their_own(tmp_path):
    places, _ = serve(tmp_path)
    assert run(places, "verdict", "--challenger", "v9").exit_code == 2
    nowhere = CliRunner().invoke(main, ["verdict", "--state-dir", str(tmp_path / "none")])
    assert nowhere.exit_code == 4


def test_a_bad_labels_file_is_misuse_and_tells_rows_but_no_values(tmp_path):
    places, _ = serve(tmp_path)
    work(places, CHALLENGER, answers(3)[1], part=True)
    path = tmp_path / "labels.csv"
    path.write_text("request_id,label\nrequest-1,1\nrequest-2,secret\n")
    found = run(places, "labels", str(path), "--json")
    assert found.exit_code == 2
    assert json.loads(found.stdout)["error"]["faults"][0]["rows"] == [2]
    assert "Row 2: a number is expected, a text came." in found.stderr
    assert "secret" not in found.output
    found = run(places, "labels", str(path), "--id-column", "order")
    assert (found.exit_code, "lacks order" in found.stderr) == (2, True)


def ask(places, method, path, *, host="127.0.0.1", **body):
    """Ask the control plane as somebody at `host` would."""

    async def asked():
        async with calling(Console(places).app(), client=(host, 5000)) as client:
            return await client.request(method, path, **body)

    return asyncio.run(asked())


def test_labels_can_be_posted_from_this_machine(tmp_path):
    places, _ = serve(tmp_path)
    work(places, CHALLENGER, answers(3)[1], part=True)
    listed = [{"request_id": "request-1", "label": 1}]
    assert ask(places, "POST", "/labels", json=listed).json()["accepted"] == 1
    lines = b'{"request_id": "request-2", "label": 0}\n{"request_id": "stranger", "label": 0}\n'
    told = ask(
        places,
        "POST",
        "/labels",
        content=lines,
        headers={"content-type": "application/x-ndjson"},
    ).json()
    assert (told["accepted"], told["unknown"]) == (2, {"n": 1, "rows": [2]})
    assert ask(places, "GET", "/report.json").json()["labels"]["joined"] == 2


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None]
)
def test_labels_in_a_form_that_any_page_may_send_are_not_taken(tmp_path, media):
    places, _ = serve(tmp_path)
    head = {"content-type": media} if media else {}
    told = ask(
        places, "POST", "/labels", content=b'[{"request_id": "a", "label": 1}]', headers=head
    )
    assert told.status_code == 415
    assert "application/json" in told.json()["error"]["message"]
    assert not places.labels.exists()


def test_bad_labels_from_elsewhere_or_too_many_are_refused(tmp_path, monkeypatch):
    places, _ = serve(tmp_path)
    work(places, CHALLENGER, answers(3)[1], part=True)
    body = [{"request_id": "request-1", "label": "secret"}, {"request_id": "request-2"}]
    answer = ask(places, "POST", "/labels", json=body)
    assert answer.status_code == 400
    assert [fault["rows"] for fault in answer.json()["error"]["faults"]] == [[1], [2]]
    assert "secret" not in answer.text
    assert ask(places, "POST", "/labels", host="192.0.2.1", json=[]).status_code == 403
    monkeypatch.setattr("shadowserve.console.app.MAX_LABELS", 10)
    assert ask(places, "POST", "/labels", json=body).status_code == 413


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"max_loss_increase": 1.5}, "max_loss_increase: a share above -1 and below 1"),
        ({"loss_margin": 0}, "loss_margin: a share above 0"),
        ({"min_labels": 0.5}, "min_labels: a whole number"),
        ({"max_loss_incraese": 0.1}, "Do you mean max_loss_increase?"),
    ],
)
def test_an_impossible_policy_on_labels_is_refused(table, said):
    with pytest.raises(SettingsError, match=said.replace("?", r"\?")):
        Policy.of(table)


def test_a_policy_may_ask_for_a_gain():
    assert Policy.of({"max_loss_increase": -0.05, "loss_margin": 0.01}).allowed_loss == -0.04


@pytest.mark.parametrize(
    ("outputs", "options", "said"),
    [
        ('[{"type": "long"}]', {}, "count as classes until they prove to be quantities"),
        ([{"type": "double"}, {"type": "integer"}], {}, "--output-kind"),
        ('[{"type": "long"}]', {"output_kind": "number"}, "compared as number"),
        ('[{"type": "string"}]', {}, None),
        (None, {}, None),
    ],
)
def test_a_start_says_how_whole_numbers_are_compared(outputs, options, said):
    champion = Version(model="m", number=3, created="", signature={"outputs": outputs})
    told = compared_as(deployment(champion=champion, options=options))
    assert (said in told[0]) if said else told == []
