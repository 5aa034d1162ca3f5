"""Names of classes: read from file names, compared within a folder and between its splits."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from trainer.text.names import did_you_mean, difference, folded, looks_same, printable, visible

# What Roboflow appends to the name of an image: crazing_1_jpg.rf.0123abcd.jpg
_ROBOFLOW = re.compile(r"[._](jpe?g|png|bmp|tiff?)\.rf\.\w+$", re.IGNORECASE)
# Digits belong to the class if a number follows after a separator, as in type2_13.
_NUMBERED = re.compile(r"(.*?[^\W\d_]\d*)(?:[\s_.()-]+\d+)+[\s)]*|(.*[^\W\d_])\d+[\s)]*", re.DOTALL)

NAMED_AT_ONCE = 10


def class_from_name(basename: str) -> str | None:
    """Return the class at the start of a file name, before its number.

    >>> class_from_name("rolled-in_scale_241.jpg")
    'rolled-in_scale'
    """
    stem = _ROBOFLOW.sub("", basename.rpartition(".")[0])
    found = _NUMBERED.fullmatch(stem)
    return found[1] or found[2] if found else None


def name_problems(labels: Iterable[str]) -> list[str]:
    """Return a sentence for each group of names that look the same or differ only in case."""
    families: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        families[folded(visible(label))].append(label)
    return [_alike(family) for family in families.values() if len(family) > 1]


def _alike(family: list[str]) -> str:
    """Describe how the names of a group differ, and what to do."""
    one, *others = family
    same = any(looks_same(one, other) for other in others)
    shown = " and ".join(ascii(label) if same else printable(label) for label in family)
    hows = dict.fromkeys(difference(one, other) or "spelling" for other in others)
    return (
        f"The class names {shown} {'look the same' if same else 'are alike'} and differ in "
        f"{' and in '.join(hows)}. If they mean one class, give it one name; if not, use names "
        "that a person can distinguish."
    )


def split_problems(splits: Mapping[str, list[str]]) -> list[str]:
    """Return sentences on a missing train split and on classes missing from a split."""
    problems = []
    if splits and "train" not in splits:
        problems.append(
            f"There is no train folder, only {', '.join(splits)}. Add one, or pass --resplit, "
            "which joins all splits and splits the images again."
        )
    everywhere = sorted(set().union(*splits.values()))
    owned = {split: set(own) for split, own in splits.items()}
    lacking = {label: [s for s, own in owned.items() if label not in own] for label in everywhere}
    different = [label for label in everywhere if lacking[label]]
    if not different:
        return problems
    meant = {label: _meant(label, lacking[label], owned) for label in different[:NAMED_AT_ONCE]}
    said = [
        f"{printable(label)} is missing in {' and '.join(lacking[label])}{hint}"
        for label, hint in meant.items()
    ]
    if len(different) > len(said):
        said.append(f"and {len(different) - len(said)} more")
    sentence = f"The splits hold different classes: {'; '.join(said)}. "
    if any(meant.values()):
        sentence += "Give a class the same name in every split. "
    sentence += (
        "Give every split the same class folders, or pass --resplit, which joins all splits and "
        "splits the images again."
    )
    if len(splits.get("train", [])) == 1:
        sentence += (
            " Datasets for anomaly detection, such as MVTec, have only good images in train: with "
            "--resplit, a classifier can be trained on them."
        )
    return [*problems, sentence]


def _meant(label: str, missing: list[str], splits: Mapping[str, set[str]]) -> str:
    """Suggest which class may be meant in the splits without `label`."""
    there = sorted({other for split in missing for other in splits[split]})
    for other in there:
        if how := difference(label, other):
            shown = ascii(other) if looks_same(label, other) else printable(other)
            return f" ({shown} there differs in {how})"
    hint = did_you_mean(label, there)
    return f" ({hint.strip()})" if hint else ""
