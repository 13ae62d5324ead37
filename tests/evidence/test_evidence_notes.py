"""Notes on MLflow's pages: ours is one block, bounded, and no name in it acts."""

from __future__ import annotations

import re
from typing import Any

import pytest
from markdown_it import MarkdownIt

from rig.evidence import CHALLENGER, deployment
from rig.report import Reader
from shadowserve.evidence import links, notes
from shadowserve.evidence.notes import BEGIN, END, MOST, with_block
from shadowserve.report import markdown

WHERE = {"experiment_id": "2", "run_id": "c0ffee"}
HOSTILE = (
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    f"{END} mine now {BEGIN}",
    "| a | b |\n|---|---|",
    "\x1b[31mred\x1b[0m \u202egnp.exe",
    "# heading\n\n- item\n```\ncode",
    "![x](http://elsewhere/x.png) http://elsewhere",
    "&lt;b&gt; &amp;",
    "e" * 500,
)


def finding(message: str, severity: str = "critical") -> dict[str, Any]:
    return {"severity": severity, "kind": "slow_feature", "message": message}


def report(*messages: str, **changes: Any) -> dict[str, Any]:
    told = {
        "verdict": "reject",
        "requests": 3_000,
        "compared": 2_500,
        "findings": [finding(message) for message in messages],
        "divergence": {"disagreement": {"mean": 0.25}, "noise_floor": 0.0},
        "latency": {
            "champion": {"p50_ms": 1.0, "max_ms": 2.0},
            "challenger": {"p50_ms": 3.0, "max_ms": 1_900.0},
        },
    }
    return {**told, **changes}


def of_run(told: dict[str, Any]) -> str:
    return notes.of_run(deployment("sqlite://"), CHALLENGER, told, **WHERE)


def test_what_the_team_has_accepted_is_marked_with_who_and_why():
    said = {
        "holds": True, "ended": None, "by": "ann@shop", "at": "2026-11-30T14:00:00+00:00", "until": None,
        "reason": "Meant <so>.", "severity": "critical", "value": 1.8,
    }  # fmt: skip
    told = of_run(report(findings=[{**finding("It gets slow."), "accepted": said}]))
    assert (
        f"  - {markdown.text('Accepted by ann@shop on 2026-11-30: Meant <so>.')}"
        in told.splitlines()
    )
    assert "<so>" not in told


def test_a_runs_note_begins_with_the_verdict_and_leads_on():
    text = of_run(report("Step 'phrases' gets slow."))
    first, *rest = text.splitlines()
    assert first == ("**Reject**: v4 in the shadow of v3. 2,500 of 3,000 requests compared.")
    assert "- **critical**, slow feature: Step 'phrases' gets slow." in rest
    assert "Mean disagreement 25 %, noise floor 0 %" in text
    assert "v3 1 ms, at most 2 ms; v4 3 ms, at most 1,900 ms" in text
    assert "](#/experiments/2/runs/c0ffee/artifacts/report.html?" in text
    assert "](#/models/it%27s%20films/versions/4?" in text


def test_every_link_asks_for_the_layout_for_models():
    served = deployment("sqlite://")
    texts = [
        of_run(report("x")),
        notes.of_control(served, **WHERE),
        notes.of_experiment(served, "2"),
        notes.of_version(served, report(), **WHERE),
    ]
    for text in texts:
        targets = re.findall(r"\]\(([^)]*)\)", text)
        assert targets
        assert [one for one in targets if not one.startswith("#/") or links.LAYOUT not in one] == []


def test_a_report_of_another_release_says_what_it_can():
    assert of_run({"verdict": "continue"}).startswith("**Continue**: v4 in the shadow of v3.")
    assert "No findings." in of_run({"verdict": "promote", "findings": []})


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_acts(name):
    written, harmless = (
        Reader(MarkdownIt("gfm-like", {"linkify": False}).render(of_run(report(one))))
        for one in (name, "harmless")
    )
    assert written.elements == harmless.elements
    assert not {"\x1b", "\u202e"} & set("".join(written.text))
    text = with_block("Ours.", of_run(report(name)))
    assert (text.count(BEGIN), text.count(END)) == (1, 1)


def test_findings_are_few_and_the_note_is_bounded_however_many_there_are():
    text = of_run(report(*(f"{i} " + "long " * 200 for i in range(100))))
    assert text.count("- **critical**") == notes.MOST_FINDINGS
    assert "and 92 findings more in the report" in text
    assert len(with_block("", text)) <= MOST


@pytest.mark.parametrize(
    "known",
    [
        "",
        "Ask Ann.",
        "Ask Ann.\n\n",
        "# Title\n\n| a |\n|---|\n",
        f"before\n\n{BEGIN}\nold\n{END}\n\nafter",
        f"{BEGIN}{END}",
        f"{BEGIN} was never ended",
        "é" * 3_000,
    ],
)
def test_a_block_is_replaced_and_nothing_else(known):
    once = with_block(known, "new")
    assert with_block(once, "new") == once
    other = with_block(once, "newer")
    assert with_block(other, "new") == once
    assert once.count(f"{BEGIN}\nnew\n{END}") == 1
    outside = re.sub(f"{BEGIN}(?:old)?[\\s\\S]{{0,9}}{END}", "", known)
    assert re.sub(f"{BEGIN}\nnew\n{END}", "", once).strip() == outside.strip()


def test_a_page_that_others_have_filled_is_left_as_it_is():
    full = "x" * (MOST - 50)
    assert with_block(full, "new " * 100) == full
    grown = f"{'x' * (MOST - 60)}{BEGIN}\nold\n{END}"
    assert BEGIN not in with_block(grown, "new " * 100)


def test_a_long_block_is_cut_between_lines():
    lines = "\n".join(f"- finding {i} [x](#/y)" for i in range(500))
    text = with_block("Ask Ann.", lines)
    assert len(text) <= MOST
    assert text.splitlines()[-2] == "…"
    assert all(line.endswith("[x](#/y)") for line in text.splitlines()[3:-2])
