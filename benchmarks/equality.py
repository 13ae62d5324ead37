"""Whether a lane finds the same with one, two and four processes: the same journal, laid side by side.

    python -m benchmarks.equality
    python -m benchmarks.equality --requests 3000 --processes 1 2 3 8

Once with what shares a call fixed: then everything is equal to the bit. Once as the machine's speed has it: then
outcomes, labels and structure are equal, and numbers differ in their last digits where a model sums. The exit
code is 1 where anything else differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rig.equality import CASES, likeness, record, scheduled


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=1_200)
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2, 4])
    asked = parser.parse_args()
    print("| model | calls | processes | unlike | equal to the bit | furthest, relative |")
    print("|---|---|---|---|---|---|", flush=True)
    unlike = False
    for name, make in CASES.items():
        case = make(asked.requests)
        for fixed in (True, False):
            first, *others = asked.processes
            with scheduled(calls=fixed), tempfile.TemporaryDirectory(prefix="equality-") as root:
                against = record(case, Path(root) / "first", processes=first)
                for n in others:
                    found = likeness(record(case, Path(root) / str(n), processes=n), against)
                    unlike |= bool(found.unlike) or (fixed and found.bits < found.rows)
                    print(
                        f"| {name} | {'fixed' if fixed else 'free'} | {first}, {n} | "
                        f"{', '.join(found.unlike) or 'nothing'} | {found.bits:,} of {found.rows:,} | "
                        f"{found.furthest:.1e} |",
                        flush=True,
                    )
    sys.exit(unlike)


if __name__ == "__main__":
    main()
