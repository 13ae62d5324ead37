"""A kind of finding is one module and one line: a toy one goes from the facts to the report."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import shadowserve
from rig.judging import known_of, policy, shadowed
from rig.printed import printed
from rig.scoring import double, opaque
from shadowserve.cli.report_text import print_report
from shadowserve.judgement.findings import Finding, Severity, kinds, look
from shadowserve.judgement.findings.kind import FindingKind, Needs, finds
from shadowserve.judgement.findings.looking import LOOKS
from shadowserve.judgement.verdict import judge
from shadowserve.report.build import build
from shadowserve.settings.policy import ALARM_SHARE

SOURCES = Path(shadowserve.__file__).parent / "judgement"

ODD_ANSWERS = FindingKind("odd_answers", fires="Answers are odd.", share=ALARM_SHARE / 2)


@finds(ODD_ANSWERS, needs=Needs.ANSWERS)
def odd(known, limits):
    alpha = ODD_ANSWERS.alpha(limits)
    low, _ = known.seen.outputs.judged_intolerant.interval(alpha)
    if low > 0:
        yield Finding(
            kind=ODD_ANSWERS.told,
            severity=Severity.WARNING,
            message=f"{known.name} answers oddly: {known.tally.kind}s differ.",
        )


@pytest.fixture
def odd_answers():
    LOOKS.append(odd)
    yield ODD_ANSWERS
    LOOKS.remove(odd)


def test_a_toy_finding_goes_from_the_facts_to_the_report_and_its_text(tmp_path, odd_answers):
    places, deployment = shadowed(tmp_path, opaque(lambda f, p: 3 * double(f, p)), n=120)
    told = build(places, deployment, challenger=4)
    assert odd_answers.name in [one["kind"] for one in told["findings"]]
    assert "odd_answers: v4 answers oddly: numbers differ." in printed(print_report, told)
    assert told["judgement"]["alarm_alpha"]["odd_answers"] == pytest.approx(0.01 / 30)


def test_nothing_is_found_before_what_it_needs_is_known(tmp_path, odd_answers):
    known = known_of(tmp_path, opaque(double), n=120)
    assert odd(known, policy()) == []  # nothing differs
    untouched = known_of(tmp_path / "other", opaque(double), sent=[])
    assert untouched.learned is None or untouched.learned.outputs.tally is None
    assert odd_answers.name not in [one.kind for one in look(untouched, policy())]
    with pytest.raises(LookupError):
        odd.find(untouched, policy()).__next__()


def test_a_toy_alarm_keeps_a_challenger_from_promotion_and_no_more(tmp_path, odd_answers):
    known = known_of(tmp_path, opaque(lambda f, p: 3 * double(f, p)), n=120)
    alone = [one for one in look(known, policy()) if one.kind == odd_answers.name]
    judged = judge(known, alone, policy(max_disagreement=0.99))
    assert judged.verdict == "continue"
    assert "v4 answers oddly" in judged.reasons[-1]


def test_alarms_share_their_alpha_and_never_spend_more_than_all_of_it():
    spent = [kind.alpha(policy(alarm_alpha_total=0.03)) for kind in kinds() if kind.share]
    assert sum(spent) == pytest.approx(0.03 * 12 / 15)
    assert min(spent) > 0


def test_a_kind_without_a_share_spends_nothing():
    with pytest.raises(LookupError, match="No share"):
        FindingKind("astrology", fires="Always.").alpha(policy())


def test_the_lane_looks_for_changes_at_the_share_that_the_finding_declares():
    [change] = [kind for kind in kinds() if kind.name == "change_point"]
    assert change.alpha(policy()) == policy().alarm_alpha()


def test_a_finding_bears_the_name_of_a_kind_that_its_look_declares():
    """Names are written once, in the module that declares them."""
    names = {kind.name for kind in kinds()}
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
                [kind] = [word.value for word in node.keywords if word.arg == "kind"]
                assert isinstance(kind, ast.Attribute), f"{path.name}:{node.lineno}"
    declared = {
        name: path
        for path in SOURCES.rglob("*.py")
        for name in re.findall(r"FindingKind\(\s*\"(\w+)\"", path.read_text("utf-8"))
    }
    assert declared.keys() == names
    for name, path in declared.items():
        assert name in (path.stem, path.parent.name), f"{name} is declared in {path.name}"
