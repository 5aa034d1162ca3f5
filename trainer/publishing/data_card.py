"""The card of a dataset on the Hub: classes, splits, leaks, and how to load it."""

from __future__ import annotations

from typing import Any

from huggingface_hub import DatasetCardData

from model_card.formatting import counted, enumeration, escaped, percent

# The size categories of the Hub, by their upper bounds.
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))


def data_card(facts: dict[str, Any], license_id: str | None) -> str:
    """Return the card: front matter and text.

    Args:
        facts: of `trainer.publishing.data_folder.DataFacts`.
        license_id: of the images; None leaves the license out.
    """
    return f"{_front_matter(facts, license_id)}\n{_text(facts)}"


def _front_matter(facts: dict[str, Any], license_id: str | None) -> str:
    total = sum(sum(counts.values()) for counts in facts["images"].values())
    size = next((name for most, name in _SIZES if total < most), "n>1M")
    data = DatasetCardData(
        license=license_id,
        task_categories=["image-classification"],
        tags=["steel", "surface-defects"],
        size_categories=[size],
        configs=[
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"{split}/**"} for split in facts["images"]
                ],
            }
        ],
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _text(facts: dict[str, Any]) -> str:
    splits = facts["images"]
    rows = [
        f"| {escaped(label)} | {' | '.join(f'{splits[split][label]:,}' for split in splits)} |"
        for label in facts["labels"]
    ]
    table = "\n".join(
        [
            f"| Class | {' | '.join(splits)} |",
            f"| --- | {' | '.join('---:' for _ in splits)} |",
            *rows,
        ]
    )
    origins = "\n".join(
        f"- `{split}`: {escaped(origin)}" for split, origin in facts["origins"].items()
    )
    columns = ["`image`", "`label`", "`group` (images of one piece of surface share it)"]
    columns.append("`source` (the folder or dataset that it comes from)")
    columns.append("`source_file` (its name before the upload)")
    if facts["boxed"]:
        boxed = f"{counted(facts['boxed'], 'image')} with a box"
        columns.append(f"`objects` (left, top, width and height in pixels; {boxed})")
    total = sum(sum(counts.values()) for counts in splits.values())
    return f"""# {counted(total, "image")} of {counted(len(facts["labels"]), "class", "classes")}

{table}

Columns: {enumeration(columns)}.

## Splits and leaks

{origins}

{_leaks(facts)}
{_skipped(facts)}
## Load

```python
from datasets import load_dataset

images = load_dataset("USER/NAME")
```

`python trainer/train.py --data-dir USER/NAME` trains on the same splits.
"""


def _leaks(facts: dict[str, Any]) -> str:
    if facts["groups"] is None:
        return "The images are drawings and were not compared with each other.\n"
    lines = [
        f"All images were compared with each other: {counted(facts['pairs'], 'pair')} "
        f"{'shares' if facts['pairs'] == 1 else 'share'} surface; there are "
        f"{counted(facts['groups'], 'separate piece')} of surface."
    ]
    for leak in facts["leakage"]:
        lines.append(
            f"- {leak['images']:,} of {counted(leak['of'], leak['split'] + ' image')} "
            f"{'shares' if leak['images'] == 1 else 'share'} surface with {leak['seen_in']} images."
        )
    if facts["random_split"] is not None:
        lines.append(f"- In a random split, {percent(facts['random_split'])} of the test would.")
    return "\n".join([lines[0], "", *lines[1:]]) + "\n"


def _skipped(facts: dict[str, Any]) -> str:
    if not facts["skipped"]:
        return ""
    return f"\n{counted(facts['skipped'], 'file')} could not be read and left out.\n"
