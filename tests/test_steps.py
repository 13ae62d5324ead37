"""`shadowserve.step`: named parts of a model's own code."""

from __future__ import annotations

import ast
import asyncio
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from time import sleep

import pytest

from shadowserve import steps
from shadowserve.steps import listen, step, timed_call


def names(heard: listen) -> list[str]:
    return [part.name for part in heard.steps()]


def test_a_step_is_silent_when_nobody_listens() -> None:
    with step("embed"):
        value = 3
    assert value == 3


def test_a_listener_hears_name_columns_and_times() -> None:
    with listen() as heard, step("embed", columns=["text", 2]):
        sleep(0.01)
    (part,) = heard.steps()
    assert (part.name, part.columns, part.calls) == ("embed", ("text", 2), 1)
    assert part.wall_ns >= 10_000_000
    assert 0 <= part.cpu_ns < part.wall_ns


def test_cpu_time_is_that_of_the_work() -> None:
    with listen() as heard, step("work"):
        sum(range(300_000))
    (part,) = heard.steps()
    assert part.cpu_ns > 500_000


@pytest.mark.parametrize("columns", ["text", ["text"], ("text",), {"text": 1}])
def test_one_column_may_be_named_plainly(columns: object) -> None:
    with listen() as heard, step("embed", columns=columns):  # type: ignore[arg-type]
        pass
    assert heard.steps()[0].columns == ("text",)


def test_nested_steps_become_a_path_and_siblings_do_not() -> None:
    with listen("features") as heard:
        with step("text"):
            with step("split"):
                pass
            with step("embed"), step("look up"):
                pass
        with step("numbers"):
            pass
    assert names(heard) == [
        "features/text/split",
        "features/text/embed/look up",
        "features/text/embed",
        "features/text",
        "features/numbers",
    ]


def test_repeated_calls_are_summed_under_one_path() -> None:
    with listen() as heard:
        for _ in range(5):
            with step("row"):
                sleep(0.001)
    (part,) = heard.steps()
    assert part.calls == 5
    assert part.wall_ns >= 5_000_000


def test_the_prefix_in_force_when_a_step_begins_is_the_one_that_counts() -> None:
    with listen("first") as heard:
        with step("a"):
            heard.path = "second"
        with step("b"):
            pass
    assert names(heard) == ["first/a", "second/b"]


def test_a_decorated_function_is_timed_at_every_call_and_keeps_its_name() -> None:
    @step("look_up", columns="key")
    def look_up(key: int) -> int:
        """Find."""
        return key + 1 if key > 2 else look_up(key + 1)

    with listen() as heard:
        assert look_up(1) == 4
    assert look_up.__name__ == "look_up"
    assert look_up.__doc__ == "Find."
    assert names(heard) == ["look_up/look_up/look_up", "look_up/look_up", "look_up"]


def test_one_step_object_may_be_entered_again_inside_itself() -> None:
    part = step("again")
    with listen() as heard, part, part:
        pass
    assert names(heard) == ["again/again", "again"]


def test_a_generator_function_is_refused_with_the_next_step() -> None:
    with pytest.raises(TypeError, match="decorate the function that reads it"):

        @step("items")
        def items():  # type: ignore[no-untyped-def]
            yield 1


def test_an_exception_passes_through_and_the_step_is_still_heard() -> None:
    with listen() as heard:
        with pytest.raises(KeyError), step("outer"), step("inner"):
            raise KeyError("lost")
        with step("after"):
            pass
    assert names(heard) == ["outer/inner", "outer", "after"]


def test_nothing_is_heard_after_the_listening_ends() -> None:
    with listen() as heard, step("inside"):
        pass
    with step("outside"):
        pass
    assert names(heard) == ["inside"]


def test_an_inner_listening_takes_over_and_hands_back() -> None:
    with listen() as outer:
        with listen() as inner, step("in"):
            pass
        with step("out"):
            pass
    assert (names(inner), names(outer)) == (["in"], ["out"])


def test_a_step_entered_before_the_listening_does_no_harm() -> None:
    part, heard = step("early"), listen()
    part.__enter__()
    heard.__enter__()
    part.__exit__(None, None, None)
    with step("heard"):
        pass
    heard.__exit__(None, None, None)
    assert names(heard) == ["heard"]


def test_threads_hear_only_their_own_steps() -> None:
    gate = threading.Barrier(4)

    def one(number: int) -> list[str]:
        with listen() as heard:
            gate.wait()
            for _ in range(50):
                with step(f"thread {number}"), step("part"):
                    pass
        return names(heard)

    with ThreadPoolExecutor(4) as pool:
        for number, found in enumerate(pool.map(one, range(4))):
            assert found == [f"thread {number}/part", f"thread {number}"]


def test_a_thread_that_is_given_the_context_is_heard() -> None:
    def work() -> None:
        with step("in a thread"):
            pass

    with listen() as heard, step("outer"):
        for run in (copy_context().run, lambda work: work()):
            thread = threading.Thread(target=run, args=(work,))
            thread.start()
            thread.join()
    assert names(heard) == ["outer/in a thread", "outer"]


def test_concurrent_tasks_do_not_mix_their_paths() -> None:
    @step("fetch")
    async def fetch(name: str) -> str:
        with step(name):
            await asyncio.sleep(0.002)
            with step("parse"):
                await asyncio.sleep(0.001)
        return name

    async def both() -> list[str]:
        return await asyncio.gather(fetch("a"), fetch("b"))

    with listen() as heard:
        assert asyncio.run(both()) == ["a", "b"]
    assert sorted(names(heard)) == [
        "fetch",
        "fetch/a",
        "fetch/a/parse",
        "fetch/b",
        "fetch/b/parse",
    ]
    assert {part.name: part.calls for part in heard.steps()}["fetch"] == 2


def test_memory_is_bounded_and_what_was_dropped_is_counted() -> None:
    with listen() as heard:
        for _ in range(steps.MAX_RECORDS + 7):
            with step("row"):
                pass
    assert heard.steps()[0].calls == steps.MAX_RECORDS
    assert heard.dropped == 7


def test_a_timed_call_is_one_step_with_named_parts_inside() -> None:
    def predict(values: list[int]) -> list[int]:
        with step("embed", columns=["text"]):
            sleep(0.002)
        return [value + 1 for value in values]

    result, times = timed_call(predict, [1, 2])
    assert result == [2, 3]
    assert times.wall_ns == (times.total_ns,)
    assert [part.name for part in times.inner] == ["embed"]
    assert 2_000_000 <= times.inner[0].wall_ns <= times.total_ns


def test_a_timed_call_that_raises_stops_listening() -> None:
    with pytest.raises(ZeroDivisionError):
        timed_call(lambda: 1 // 0)
    assert steps._get_running() is None


def test_steps_and_their_records_survive_pickling() -> None:
    part = pickle.loads(pickle.dumps(step("embed", columns=("text",))))
    assert (part.name, part.columns) == ("embed", ("text",))
    _, times = timed_call(len, "four")
    assert pickle.loads(pickle.dumps(times)) == times


def test_the_module_needs_the_standard_library_alone() -> None:
    tree = ast.parse(Path(steps.__file__).read_text())
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert {(name or "").split(".")[0] for name in imported} <= sys.stdlib_module_names
