"""The listener for stop signals, which hears them whatever a model does on the main thread.

Python runs a signal's handler on the main thread, between two instructions. There a model may be in a
long call of a library, and may have set a handler of its own. So the signal's number goes through a
pipe as well, which Python writes at once, and a thread that does nothing else reads it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType


def heed(stop: Callable[[], None], numbers: Sequence[signal.Signals]) -> None:
    """Have `stop` called, on a thread of its own, whenever one of the signals comes.

    To be called on the main thread. Processes that a model forks do not inherit it: they end by these
    signals, as anybody expects of them.

    Parameters
    ----------
    stop : callable
        May be called more than once.
    numbers : sequence of Signals
        What asks this process to end.
    """
    heard, told = os.pipe()
    # A handler that waits for a full pipe would hold up the main thread for good.
    os.set_blocking(told, False)

    def note(number: int, _frame: FrameType | None) -> None:
        """Tell the thread too where a library has taken the pipe's place, as event loops do."""
        with contextlib.suppress(OSError):  # full: more than enough has been told
            os.write(told, bytes([number]))

    def listen() -> None:
        while came := os.read(heard, 1):
            if came[0] in numbers:
                stop()

    for number in numbers:
        signal.signal(number, note)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    _end_forked_children_by(numbers, note)
    threading.Thread(target=listen, name="signals", daemon=True).start()


def _end_forked_children_by(numbers: Sequence[signal.Signals], handler: object) -> None:
    """Undo the handling in a forked child; until then no signal comes, which would tell the parent."""
    held = threading.local()

    def hold_back() -> None:
        held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

    def let_come() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, held.mask)

    def forget() -> None:
        with contextlib.suppress(ValueError):
            signal.set_wakeup_fd(-1)
        for number in numbers:
            if signal.getsignal(number) is handler:
                signal.signal(number, signal.SIG_DFL)
        let_come()

    os.register_at_fork(before=hold_back, after_in_parent=let_come, after_in_child=forget)
