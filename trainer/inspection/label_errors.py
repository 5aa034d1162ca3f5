"""Find likely label errors by confident learning (Northcutt et al. 2021).

https://doi.org/10.1613/jair.1.12125, as cleanlab implements it.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from trainer.data.overlap_search.orientations import Array
from trainer.errors import DataError
from trainer.inspection.report.schema import LabelCheck, LabelError
from trainer.text.spreadsheet import read_table

# As written by trainer/evaluation/scores.py; the classes follow.
_COLUMNS = ["file", "label", "prediction", "confidence"]


def check_labels(predictions: Path, labels_by_file: dict[str, str]) -> LabelCheck:
    """Compare labels with predictions from models that did not train on these images.

    Args:
        predictions: a `predictions.csv`.
        labels_by_file: of all readable images.

    Raises:
        DataError: the file can't be read, or belongs to other images.
    """
    names, rows = _read(predictions)
    unknown_files = [file for file in rows if file not in labels_by_file]
    if unknown_files:
        raise DataError(
            f"{predictions} names {len(unknown_files)} files that are not in the data, such as "
            f"{unknown_files[0]}. Pass the predictions of a run on these data."
        )
    unknown = sorted({labels_by_file[file] for file in rows} - set(names))
    if unknown:
        raise DataError(
            f"{predictions} has no column for the class {unknown[0]}, only for {', '.join(names)}. "
            "Pass the predictions of a run on these data."
        )
    files = list(rows)
    given = np.array([names.index(labels_by_file[file]) for file in files])
    probabilities = np.array([rows[file] for file in files])
    errors = []
    for index in _suspects(given, probabilities):
        suggested = int(probabilities[index].argmax())
        errors.append(
            LabelError(
                file=files[index],
                label=names[given[index]],
                suggestion=names[suggested],
                label_probability=probabilities[index, given[index]],
                suggestion_probability=probabilities[index, suggested],
            )
        )
    return LabelCheck(images=len(files), likely_errors=errors)


def _suspects(given: Array, probabilities: Array) -> list[int]:
    """Return the rows whose labels are likely wrong, the least probable label first."""
    # Takes seconds to import, and most inspections have no predictions.
    from cleanlab.filter import find_label_issues  # noqa: PLC0415

    # Classes without a covered image have no effect and would cause warnings.
    present = np.unique(given)
    if len(present) < 2:
        return []
    known = probabilities[:, present] + 1e-9
    known /= known.sum(axis=1, keepdims=True)
    found = find_label_issues(
        np.searchsorted(present, given),
        known,
        return_indices_ranked_by="self_confidence",
        min_examples_per_class=0,
        n_jobs=1,
    )
    return [int(index) for index in found if probabilities[index].argmax() != given[index]]


def _read(file: Path) -> tuple[list[str], dict[str, list[float]]]:
    """Return the class names, and the probabilities of each file in their order."""
    try:
        header, *lines = read_table(file)
        names = header[len(_COLUMNS) :]
        if header[: len(_COLUMNS)] != _COLUMNS or len(names) < 2 or not lines:
            raise ValueError(f"its first line should be {','.join(_COLUMNS)},<each class>")
        rows = {line[0]: [float(value) for value in line[len(_COLUMNS) :]] for line in lines}
        if any(len(values) != len(names) for values in rows.values()):
            raise ValueError("its lines have different lengths")
        if not all(0 <= value <= 1 for values in rows.values() for value in values):
            raise ValueError("probabilities must be from 0 to 1")
    except OSError as error:
        raise DataError(f"The predictions {file} can't be read: {error.strerror}.") from error
    except (ValueError, IndexError, csv.Error) as error:
        raise DataError(
            f"{file} is no predictions.csv of a run: {error}. Training writes one into its run "
            "folder."
        ) from error
    return names, rows
