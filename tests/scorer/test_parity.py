"""Where one of two versions has no signature, no difference comes of that alone."""

from __future__ import annotations

import numpy as np
import pytest

from rig.deployment import CHALLENGER, deployment
from rig.judging import known_of, policy
from rig.scoring import body, double, opaque, version
from shadowserve import wire
from shadowserve.evidence import identity
from shadowserve.judgement.findings import look
from shadowserve.schema.schema import Schema
from shadowserve.scorer import parity, tryout
from shadowserve.scorer.loading import Loaded
from shadowserve.settings.options import Options

LONGS = {
    "inputs": [
        {"name": "n", "type": "long", "required": True},
        {"name": "flag", "type": "boolean", "required": True},
        {"name": "day", "type": "datetime", "required": True},
    ]
}
TENSOR = {"inputs": [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]}
RECORD = {"n": 7, "flag": True, "day": "2026-01-01T00:00:00"}

UNTRIED = Options(probe="none")


def dtypes(rows, _params):
    """A model whose answer shows what reached it."""
    return [str(rows.dtypes.to_dict())] * len(rows)


def served(signature, *, names=None, champion=None):
    """A version of the same code as a lane or a worker opens it."""
    loaded = Loaded(native=None, predict=dtypes, method="predict", feature_names=names)
    beside = None if champion is None else version(3, signature=champion)
    own = version(4 if champion else 3, signature=signature)
    return tryout.tried(own, loaded, options=UNTRIED, champion=beside)


def answer(scorer):
    rows = wire.parse(body(RECORD), "application/json", scorer.schema)
    return scorer.score(rows).output


@pytest.mark.parametrize("names", [None, ["n", "flag", "day"]])
def test_a_challenger_without_a_signature_is_handed_what_the_champion_is(names):
    champion = served(LONGS)
    challenger = tryout.tried(
        version(4, signature=None),
        Loaded(native=None, predict=dtypes, method="predict", feature_names=names),
        options=UNTRIED,
        champion=champion.version,
    )
    assert "int64" in answer(champion)[0]
    assert answer(challenger) == answer(champion)
    assert any("v4 has no signature" in note for note in challenger.notes)


def test_a_champion_without_a_signature_is_typed_as_if_alone_and_the_challenger_alike():
    """Who is in its shadow must not change what a caller gets."""
    champion = served(None, names=["n", "flag", "day"])
    challenger = tryout.tried(
        version(4, signature={"inputs": LONGS["inputs"][:2]}),
        Loaded(native=None, predict=dtypes, method="predict"),
        options=UNTRIED,
        champion=champion.version,
    )
    rows = challenger.schema.type_records([RECORD])
    assert rows.columns["n"].dtype == champion.schema.type_records([RECORD]).columns["n"].dtype
    assert rows.columns["n"].dtype == np.float64
    assert "v3 has no signature" in challenger.notes[0]


def test_what_no_number_can_stand_for_keeps_its_own_type():
    schema = parity.beside(Schema.from_signature(LONGS), Schema.open())
    assert [c.type for c in schema.columns] == ["unknown", "unknown", "datetime"]
    assert not schema.batchable


def test_a_tensors_shape_is_borrowed_too():
    schema = parity.beside(Schema.open(), Schema.from_signature(TENSOR))
    assert schema.type_tensors({None: [[1, 2]]}).tensor.dtype == np.float32


def test_names_that_the_champion_does_not_know_stay_untyped():
    schema = parity.beside(Schema.from_names(["new", "n"]), Schema.from_signature(LONGS))
    assert [(c.name, c.type) for c in schema.columns] == [("new", "unknown"), ("n", "long")]


@pytest.mark.parametrize("signature", [LONGS, None])
def test_two_signatures_or_none_stand_as_they_are(signature):
    schema = Schema.from_signature(signature)
    other = Schema.from_signature(
        {"inputs": [{"name": "n", "type": "double"}]} if signature else None
    )
    assert parity.beside(schema, other) is schema
    assert parity.said(version(3, signature=signature), version(4, signature=signature)) is None


def test_the_run_and_a_finding_say_whose_signature_is_missing(tmp_path):
    unsigned = deployment(challengers=(version(4, signature=None),))
    assert "v4 has no signature" in identity.tags(unsigned, CHALLENGER)["shadowserve.typing"]
    assert "shadowserve.typing" not in identity.tags(deployment(), CHALLENGER)
    known = known_of(tmp_path, opaque(double), challengers=(version(4, signature=None),))
    (one,) = [f for f in look(known, policy()) if f.kind == "lineage"]
    assert "v4 has no signature" in one.message
    assert not one.severity.is_alarm
