"""Write the tables of README and docs/results from their JSON: `python -m docs.result_tables`.

`docs/results/measurements/NAME.json` is what `--json` of a benchmark wrote (`benchmarks.table`). A
page shows it between two comments, `table: NAME` and `end of table`, with machine, date and
command. A test fails while a page differs from what this writes.
"""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.table import Cell, Table

REPOSITORY = Path(__file__).parents[1]
FOLDER = Path(__file__).with_name("results")
MEASUREMENTS = FOLDER / "measurements"
README = REPOSITORY / "README.md"
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(?=<!-- end of table -->)", re.DOTALL)


def main() -> None:
    """Write the tables of all pages again."""
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")


def pages() -> dict[Path, str]:
    """Return the text of each page that has tables, as it should be."""
    written = {page: page.read_text(encoding="utf-8") for page in (README, *FOLDER.glob("*.md"))}
    return {page: BLOCK.sub(_block, text) for page, text in written.items() if BLOCK.search(text)}


def _block(found: re.Match[str]) -> str:
    name = found[2]
    if name == "summary":
        return f"{found[1]}{summary()}\n"
    # Between the blank lines MkDocs reads Markdown; a comment alone would make it HTML.
    return f"{found[1]}\n{measured(name).markdown()}\n\n"


def measured(name: str) -> Table:
    """Return the table of a measurement."""
    return Table.read(MEASUREMENTS / f"{name}.json")


def summary() -> str:
    """Return README's table: a few cells of the others."""
    folds, decisions = measured("five_folds"), measured("three_networks")
    corrupted = measured("robustness")
    network, worst = "lite0, five folds", "Light, motion and noise"
    mildest, strongest = (
        _first(corrupted.cell(worst, severity), f"{worst}, {severity}") for severity in ("1", "5")
    )
    rows = {
        "Measured on 1,440 photographs of six defects (NEU), `tf_efficientnet_lite0`, recommended "
        "recipe": "Result",
        "---": "---",
        "[Accuracy](docs/results/accuracy.md), 95 % interval; five folds share no piece of steel": (
            folds.cell("Accuracy on 1,440 images", "Result")
        ),
        "[Answered automatically](docs/results/decisions.md); accuracy on these answers": (
            folds.cell("Answered automatically; accuracy on these", "Result")
        ),
        "[Magnetic tiles rejected](docs/results/decisions.md) as an unknown surface": (
            decisions.cell("Magnetic tiles rejected", network)
        ),
        "[Accuracy on corrupted images](docs/results/robustness.md): light, motion and noise, "
        "mildest to strongest": f"{mildest} % to {strongest} %",
    }
    return "\n".join(f"| {title} | {result} |" for title, result in rows.items())


def _first(cell: Cell, where: str) -> float:
    """Return the first of the numbers in a cell."""
    if not isinstance(cell, tuple):
        raise TypeError(f"{where} holds {cell!r}, not several numbers")
    return cell[0]


if __name__ == "__main__":
    main()
