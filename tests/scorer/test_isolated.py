"""A version in a process and an environment of its own answers as it would here, and harms nobody but its lane."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import cloudpickle
import numpy as np
import pytest

from rig import elsewhere
from rig.elsewhere_code import train
from shadowserve import steps, wire
from shadowserve.errors import AnswerError, ModelError
from shadowserve.faults import ToldFaultError, fault_of
from shadowserve.scorer import scoring
from shadowserve.scorer.isolated import environments
from shadowserve.settings.options import Options
from shadowserve.state.inflight import TOO_LARGE
from shadowserve.state.isolation import Environment

LINES = ("scikit-learn", "pandas", "cloudpickle")
OPTIONS = Options(isolate=("far:2",))
HERE = Environment(
    "", python=".".join(map(str, sys.version_info[:3])), libraries={"scikit-learn": "1.9"}
)
GOOD, OTHER = ({"x": 1.0, "city": "Oslo", "note": note} for note in ("good film", "éclair"))


@pytest.fixture
def opened(tmp_path):
    """Open a model isolated, by this interpreter's own packages; each process is ended."""
    yield from opening_in(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One pipeline in a process of its own, for all who only ask it."""
    with contextmanager(opening_in)(tmp_path_factory.mktemp("trained")) as open_it:
        yield open_it(train.model("pipeline"))


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """One model of nobody's class, which does what a request's note says and lives on."""
    with contextmanager(opening_in)(tmp_path_factory.mktemp("own")) as open_it:
        yield open_it(model(as_noted()))


def opening_in(folder):
    """Yield what opens models in environments that lie in a folder; end their processes."""
    lines = []

    def open_it(model, *, options=OPTIONS, prepare=lambda packages: None, harmless=True):
        path = folder / f"model-{len(lines)}"
        path.mkdir()
        (path / "model.pkl").write_bytes(cloudpickle.dumps(model))
        elsewhere.write(path, HERE, lines=LINES, serialization_format="cloudpickle")
        version = elsewhere.version(path)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
            if not any(environments.cache_folder().glob("*/lib")):
                prepare(elsewhere.lent(version, path, options))
            scorer = scoring.open_version(version, path, options=options, champion=version)
        lines.append(scorer.line)
        return scoring.warm(scorer) if harmless else scorer

    yield open_it
    for line in lines:
        line.close()


def rows_of(scorer, *records):
    return scorer.schema.type_records(list(records))


def model(predict, **state):
    """A regressor of the test's own, pickled by value."""

    class Own:
        def __init__(self):
            self.__dict__.update(state)

        def fit(self, *_):
            return self

    Own.predict = predict
    return Own()


def as_noted():
    """Return what answers 1 for each row, after what its note says; a function within pickles by value."""

    def predict(self, frame):
        import os
        import sys
        import time

        import shadowserve

        note = frame["note"].iloc[0]
        if note == "raise":
            raise ValueError("a secret value")
        if note == "exit":
            sys.exit(3)
        if note == "set":
            return [{1, 2}]
        if note == "sleep":
            time.sleep(0.3)
        if note == "print":
            print("a value", flush=True)
            os.write(2, b"a value")
        if note == "step":
            with shadowserve.step("embed", columns=["note"]):
                return [1.0] * len(frame)
        return [1.0] * len(frame)

    return predict


def asking(scorer, note):
    return rows_of(scorer, {**GOOD, "note": note})


def test_it_answers_bit_for_bit_as_here_and_its_steps_are_timed(trained):
    pipeline, scorer = train.model("pipeline"), trained
    rows = rows_of(scorer, GOOD, OTHER)
    scored = scorer.score(rows)
    assert scored.output.tobytes() == pipeline.predict(rows.frame()).tobytes()
    assert wire.answer(scored.output) == wire.answer(pipeline.predict(rows.frame()))
    names = [name for name, _ in scorer.step_names]
    assert names == ["features/number", "features/city", "features/note", "line"]
    assert len(scored.wall_ns) == len(names)
    assert min(scored.wall_ns) > 0
    assert scorer.proven(rows) is None
    assert not any(step.kind == "opaque" for step in scorer.plan.steps)
    assert scorer.batched
    assert scorer.pid not in (None, os.getpid())


def test_a_classifier_has_probabilities_and_labels_there_too(opened):
    pipeline = train.model("labels")
    scorer = opened(pipeline)
    rows = rows_of(scorer, GOOD)
    scored = scorer.score(rows, scores=True)
    assert scored.output.tolist() == pipeline.predict(rows.frame()).tolist()
    assert scored.scores.tobytes() == pipeline.predict_proba(rows.frame()).tobytes()
    assert scorer.loaded.classes == ["early", "late"]
    assert scorer.loaded.categories()["city"].knows("Oslo")


def test_what_it_runs_in_is_said(trained):
    scorer = trained
    assert any(
        note.startswith("runs isolated, in an environment of its own") for note in scorer.notes
    )
    assert scorer.environment.interpreter.exists()
    assert not any("other library" in note for note in scorer.notes)


def test_an_exception_is_told_by_type_and_step_and_not_by_its_text(own):
    with pytest.raises(ToldFaultError) as raised:
        own.score(asking(own, "raise"), mark=[-1])
    fault = fault_of(raised.value, step="own")
    assert (fault.type, fault.step) == ("ValueError", "own")
    assert "secret" not in repr(raised.value) + repr(fault)
    assert own.score(rows_of(own, GOOD)).output == [1.0]


def test_sys_exit_of_a_model_is_its_requests_fault(own):
    with pytest.raises(ToldFaultError):
        own.score(asking(own, "exit"))
    assert own.score(rows_of(own, GOOD)).output == [1.0]


@pytest.mark.parametrize(("harm", "code"), [("exit", 3), ("kill", -signal.SIGKILL)])
def test_whoever_asks_ends_as_the_process_ended(opened, harm, code):
    """So the supervisor counts the lane's death, with what was in hand, as it would without isolation."""

    def predict(self, frame):
        if frame["note"].iloc[0] == "éclair":
            os._exit(3) if harm == "exit" else os.kill(os.getpid(), 9)
        return [1.0] * len(frame)

    scorer, told = opened(model(predict)), []
    scorer.line.ended = told.append
    with pytest.raises(ModelError, match="own process ended"):
        scorer.score(rows_of(scorer, OTHER))
    assert told == [code]


def test_what_a_model_writes_to_every_descriptor_is_no_answer(opened):
    def predict(self, frame):
        if frame["note"].iloc[0] == "éclair":
            for descriptor in range(3, 64):
                try:
                    os.write(descriptor, b"\x04" + bytes(7) + b"\x00" * 8 + b"null")
                except OSError:
                    continue
        return [1.0] * len(frame)

    scorer, told = opened(model(predict)), []
    scorer.line.ended = told.append
    with pytest.raises(ModelError):
        scorer.score(rows_of(scorer, OTHER))
    assert told == [1]


def test_prints_of_a_model_reach_nobody(own, capfd):
    assert own.score(asking(own, "print")).output == [1.0]
    assert "a value" not in "".join(capfd.readouterr())


def test_an_answer_of_a_type_of_its_own_is_refused_by_name(opened):
    def predict(self, frame):
        return [type("Verdict", (), {})() for _ in range(len(frame))]

    with pytest.raises(ModelError, match=r"cannot be served\..*Verdict, which has no JSON form"):
        opened(model(predict))


def test_an_answer_of_a_type_of_its_own_is_one_requests_error(own):
    with pytest.raises(AnswerError, match=r"builtins\.set"):
        own.score(asking(own, "set"))
    assert own.score(rows_of(own, GOOD)).output == [1.0]


def test_unknown_code_serves_as_it_was_loaded_and_not_as_it_was_tried(opened):
    def predict(self, frame):
        self.n += 1
        return [float(self.n)] * len(frame)

    scorer = opened(model(predict, n=0))
    assert scorer.sharing.tries > 0
    assert not scorer.batched
    assert scorer.score(rows_of(scorer, GOOD)).output == [1.0]


def test_too_much_memory_ends_it_and_says_so(opened):
    def predict(self, frame):
        if frame["note"].iloc[0] == "éclair":
            held = bytearray(2**28)
            held[:: 2**12] = b"x" * len(held[:: 2**12])
            while True:
                pass
        return [1.0] * len(frame)

    scorer, told = opened(model(predict)), []
    scorer.settle(starved=lambda _: None, memory_bytes=2**28)

    def ended(code):
        told.append(code)
        raise KeyboardInterrupt

    scorer.line.ended = ended
    with pytest.raises(KeyboardInterrupt):
        scorer.score(rows_of(scorer, OTHER))
    assert told == [TOO_LARGE]


def test_what_its_thread_waits_for_a_cpu_is_told_while_it_runs(own):
    told = []
    own.settle(starved=told.append, memory_bytes=None)
    scored = own.score(asking(own, "sleep"))
    assert told
    assert all(each >= 0 for each in told)
    assert scored.starved_ns is not None


def test_start_up_files_and_packages_of_the_environment_do_not_get_before_ours(
    opened, monkeypatch, tmp_path
):
    """A requirement may bring a package of our name, and files that Python runs at its start."""
    false = tmp_path / "false"
    (false / "shadowserve").mkdir(parents=True)
    (false / "shadowserve" / "__init__.py").write_text("raise SystemExit(9)\n")
    monkeypatch.setenv("PYTHONPATH", str(false))
    monkeypatch.setenv("PYTHONSTARTUP", str(false / "nothing.py"))

    def prepare(packages):
        (packages / "shadowserve").mkdir()
        (packages / "shadowserve" / "__init__.py").write_text("scorer = None\n")
        (packages / "sitecustomize.py").write_text(
            "import shadowserve, os\nos.write(1, b'noise')\n"
        )
        (packages / "aaa.pth").write_text(f"import sys; sys.path.insert(0, {str(packages)!r})\n")

    def predict(self, frame):
        import shadowserve.steps

        return [shadowserve.steps.__file__] * len(frame)

    scorer = opened(model(predict), prepare=prepare)
    (found,) = scorer.score(rows_of(scorer, GOOD)).output
    assert "cache/shadowserve/environments/path" in found
    assert Path(found).resolve() == Path(steps.__file__).resolve()


def test_steps_that_a_model_names_are_heard(own):
    (inner,) = own.score(asking(own, "step")).inner
    assert (inner.name, inner.columns) == ("own/embed", ("note",))


def test_an_environment_that_is_gone_is_missed(opened):
    scorer = opened(train.model("pipeline"))
    shutil.rmtree(scorer.environment.path)
    version = scorer.version
    with pytest.raises(ModelError, match=r"somebody has deleted it\. 'shadowserve resume'"):
        scoring.open_version(version, scorer_path(scorer), options=OPTIONS, champion=version)
    assert scorer.score(rows_of(scorer, GOOD)).output.shape == (1,)  # what is loaded goes on


def scorer_path(scorer):
    return next(Path(scorer.environment.path).parents[3].glob("model-*"))


def test_a_champion_is_never_isolated(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "model.pkl").write_bytes(cloudpickle.dumps(train.model("pipeline")))
    elsewhere.write(path, HERE, lines=LINES, serialization_format="cloudpickle")
    scorer = scoring.open_version(elsewhere.version(path), path, options=OPTIONS)
    assert scorer.pid is None
    assert np.isfinite(scorer.score(rows_of(scorer, GOOD)).output).all()
