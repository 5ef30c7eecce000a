"""The parts in order, each on a service and a database of its own; exits with 1 where a bar does not hold."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from skin_platform_tests.benchmarks.figures import Row, options, tell
from skin_platform_tests.benchmarks.soak.faults import kills, outage
from skin_platform_tests.benchmarks.soak.moves import moves
from skin_platform_tests.benchmarks.soak.setting import FULL, QUICK, Setting, models
from skin_platform_tests.benchmarks.soak.steady import steady
from skin_platform_tests.storage.postgres import running_postgres

PARTS: dict[str, Callable[[Setting], list[Row]]] = {"steady": steady, "kills": kills, "outage": outage, "moves": moves}


def main() -> None:
    """Run and tell."""
    parser = options("the service under load, for minutes")
    parser.add_argument("--quick", action="store_true", help="a tiny model, and less of everything")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, comma separated")
    parser.add_argument("--model", type=Path, help="a folder that `benchmarks.served_model` has made; default: made anew")
    given = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, running_postgres() as postgres:
        size = QUICK if given.quick else FULL
        bundles, pictures = models(given.model or Path(folder) / "model", size)
        for name in given.only.split(","):
            home = Path(folder) / name
            home.mkdir()
            rows += PARTS[name](Setting(home, postgres, postgres.new_database(), size, bundles, pictures))
            print(f"{name} is done", file=sys.stderr)
    tell(rows, as_json=given.json)
    sys.exit(any(row.holds is False for row in rows))


if __name__ == "__main__":
    main()
