"""What a run of chaos came to: the table, and every count that does not fit another."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from rig.served import Served

STRAYS = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run's counts.

    Parameters
    ----------
    seed : int
        What the faults and the traffic were drawn from.
    minutes : float
        How long faults were drawn.
    drawn : Counter
        Faults by name; those that this machine cannot have are not among them.
    told : Counter
        Calls by status or exception.
    wrong : int
        Answers with a 200 that were not the champion's.
    while_down, around_kills : int
        Calls that failed while the supervisor was down or not serving yet, and others that failed
        when a worker was killed: what it had in hand, and all until a worker was up if none was.
    strays : list of str
        Failed calls outside all of these, and the faults before each.
    asked : int
        Calls before the traffic, all answered.
    without_room : int
        Calls that were under way while there was no room, or too little for a worker, whose record
        may be lost.
    ledger : dict
        At the end.
    evidence : list of str
        What MLflow holds twice or not at all.
    stopped : int
        Exit code of the last stop.
    """

    seed: int
    minutes: float
    drawn: Counter[str]
    rate: float
    told: Counter[str]
    wrong: int
    while_down: int
    around_kills: int
    strays: list[str]
    asked: int
    without_room: int
    ledger: dict[str, Any]
    poisons: list[dict[str, Any]]
    evidence: list[str]
    stopped: int

    @property
    def faults(self) -> list[str]:
        """Everything that must not be."""
        champion, journal = self.ledger["champion"], self.ledger["journal"]
        got = self.told["200"] + self.asked
        failed = sum(self.told.values()) - self.told["200"]
        paused = sum(lane["skipped"]["paused"] for lane in self.ledger["lanes"])
        checks = {
            f"{self.wrong} wrong answers": self.wrong,
            f"{len(self.strays)} failed calls outside every outage": self.strays,
            "the ledger does not balance": not self.ledger["balanced"],
            f"{journal['append_failed']} answers not in the journal, {self.without_room} calls came "
            "while there was no room": journal["append_failed"] > self.without_room,
            "no pause was heeded": self.drawn["pause_and_resume"] and not paused,
            f"{got} answers came, {champion['answered']} were counted": not (
                got <= champion["answered"] <= got + failed
            ),
            f"the last stop ended with {self.stopped}": self.stopped,
        }
        return [text for text, is_so in checks.items() if is_so] + self.evidence

    def table(self) -> str:
        """Return the outcome for people."""
        lanes = [
            f"  {lane['role']:<11} both_ok {lane['both_ok']}, challenger_error "
            f"{lane['challenger_error']}, crashed {lane['crashed']}, timed_out {lane['timed_out']}, "
            f"sampled_out {lane['sampled_out']}, paused {lane['skipped']['paused']}, "
            f"budget {lane['skipped']['budget']}, "
            f"pending {lane['pending']}, {lane['state']}"
            for lane in self.ledger["lanes"]
        ]
        champion, journal = self.ledger["champion"], self.ledger["journal"]
        return "\n".join(
            [
                f"Faults         {sum(self.drawn.values())} in {self.minutes:g} minutes, "
                f"seed {self.seed}",
                *(f"  {name:<17} {n}" for name, n in sorted(self.drawn.items())),
                f"Calls          {sum(self.told.values())} at {self.rate:.0f} a second",
                *(f"  {told:<17} {n}" for told, n in self.told.most_common()),
                f"  wrong {self.wrong}; failed while the supervisor was down {self.while_down}, "
                f"when a worker was killed {self.around_kills}, else {len(self.strays)}",
                *(f"    {stray}" for stray in self.strays[:STRAYS]),
                f"Champion       answered {champion['answered']}, failed {champion['failed']}, "
                f"overloaded {champion['overloaded']}, client gone {champion['client_gone']}",
                f"Journal        appended {journal['appended']}, not {journal['append_failed']}; "
                f"{self.without_room} calls came while there was no room",
                "Lanes",
                *lanes,
                f"Poison named   {len(self.poisons)} findings",
                f"Ledger         {'balances' if self.ledger['balanced'] else 'DOES NOT BALANCE'}",
                "Evidence       " + ("; ".join(self.evidence) or "complete, once"),
                "Verdict        " + ("; ".join(self.faults) or "nothing harmed, nothing lost"),
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything for programs."""
        return {**asdict(self), "faults": self.faults}


def evidence_faults(served: Served, ledger: dict[str, Any]) -> list[str]:
    """Say what MLflow holds twice or lacks: one run a lane, each window once, each request once."""
    import mlflow

    uri = f"sqlite:///{served.store}"
    client = mlflow.MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name(f"shadowserve/{ledger['model']}")
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    faults = [] if len(runs) == len(ledger["lanes"]) else [f"{len(runs)} runs in MLflow"]
    for run in runs:
        points = client.get_metric_history(run.info.run_id, "ledger/requests")
        if len({point.step for point in points}) != len(points):
            faults.append(f"{run.info.run_name}: a window twice")
        parts = client.list_artifacts(run.info.run_id, "comparisons")
        if len(parts) != len(points):
            faults.append(f"{run.info.run_name}: {len(parts)} parts, {len(points)} windows")
        control = "control" in run.info.run_name
        lane = next(e for e in ledger["lanes"] if (e["role"] == "control") == control)
        ended = sum(
            lane[name]
            for name in ("both_ok", "challenger_error", "champion_error", "both_error", "timed_out", "crashed", "sampled_out")
        ) + sum(lane["skipped"].values())  # fmt: skip
        if (told := sum(point.value for point in points)) != ended:
            faults.append(f"{run.info.run_name}: {told:.0f} requests in MLflow, {ended} have ended")
    return faults
