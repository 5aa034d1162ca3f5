"""predict.py --watch as a process, with its folder and its table."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.warm_process import WarmProcess

SCRIPT = Path(__file__).parents[2] / "trainer" / "predict.py"
PATIENCE_S = 60


def eventually(reached: Callable[[], bool], what: str) -> None:
    """Wait until something holds; it is never asserted how soon."""
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def rows(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def names(table: Path) -> list[str]:
    return [Path(row["path"]).name for row in rows(table)]


class Line:
    """A watched folder, and the table of its images."""

    def __init__(self, folder: Path, package: Path) -> None:
        self.images, self.table, self.log = folder / "in", folder / "out.csv", folder / "log"
        self.package = package
        self.images.mkdir()

    def start(self, *options: str, largest_file: int = -1, password: str = "") -> WarmProcess:
        """Start predict.py --watch."""
        return WarmProcess(
            [
                *(str(SCRIPT), str(self.images), "--watch", "--resume", *options),
                *(
                    "--engine",
                    "pytorch",
                    "--model",
                    f"local-dir:{self.package}",
                    "--output",
                    str(self.table),
                ),
            ],
            environment={"OMP_NUM_THREADS": "1", "MQTT_PASSWORD": password},
            log=self.log,
            largest_file=largest_file,
        )

    @contextmanager
    def watched(self, *options: str, password: str = "") -> Iterator[WarmProcess]:
        """Run predict.py --watch; end it cleanly."""
        process = self.start(*options, password=password)
        try:
            yield process
        except BaseException:
            process.kill()
            raise
        finally:
            process.terminate()
            code = process.wait(PATIENCE_S)
        assert code == 0, f"exit code {code}: {self.log.read_text()}"
        assert "Stopped. " in self.log.read_text()
        assert "Traceback" not in self.log.read_text()

    def said(self, words: str) -> None:
        """Wait for words in its messages."""
        eventually(lambda: self.log.exists() and words in self.log.read_text(), words)

    def expect(self, expected: set[str] | list[str]) -> None:
        """Wait for the rows of exactly these images; a set for any order."""

        def reached() -> bool:
            return len(names(self.table)) >= len(expected)

        eventually(reached, f"{expected} in {names(self.table)}")
        found = names(self.table)
        assert (sorted(found) if isinstance(expected, set) else found) == (
            sorted(expected) if isinstance(expected, set) else expected
        )
