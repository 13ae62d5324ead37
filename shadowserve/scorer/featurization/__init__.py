"""The timed walk: every featurization step of a fitted model, named and timed.

`compile` makes a plan of a fitted model, and `verify` finds the finest plan whose output is the
model's own, bit for bit. `Plan.run` scores rows with every step timed.
"""

from shadowserve.steps import InnerStep, StepTimes

from .compiling import compile  # noqa: A004 - as `re.compile`
from .identity import Agreement, Identity, check_identity, difference, like, verified, verify
from .plan import Op, Plan, Step, Timed

__all__ = [
    "Agreement",
    "Identity",
    "InnerStep",
    "Op",
    "Plan",
    "Step",
    "StepTimes",
    "Timed",
    "check_identity",
    "compile",
    "difference",
    "like",
    "verified",
    "verify",
]
