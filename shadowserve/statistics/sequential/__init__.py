"""Statistics that hold however often one looks: bounded means, rates and signs."""

from shadowserve.statistics.sequential.evidence import likelihood_ratio, rate_evidence, two_rates
from shadowserve.statistics.sequential.means import (
    MeanSequence,
    difference,
    log_e_difference,
    paired_mean,
)
from shadowserve.statistics.sequential.signs import log_e_sign

__all__ = [
    "MeanSequence",
    "difference",
    "likelihood_ratio",
    "log_e_difference",
    "log_e_sign",
    "paired_mean",
    "rate_evidence",
    "two_rates",
]
