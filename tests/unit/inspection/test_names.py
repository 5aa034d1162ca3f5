"""Class names that a person would hold to be one."""

from __future__ import annotations

import pytest

from trainer.inspection.names import find_names_alike


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        ("Crazing", "crazing", "upper and lower case"),
        ("rolled_in", "Rolled-in", "spaces, hyphens or underscores"),
        ("Scratch", "scratches", "singular and plural"),
        ("Patch", "patchs", "singular and plural"),
        ("Inclusion", "Inclusoin", "spelling"),
        ("Crazing", "Craizng", "spelling"),
    ],
)
def test_twins_are_found(one: str, other: str, difference: str) -> None:
    [found] = find_names_alike([one, other])
    assert {found.one, found.other} == {one, other}
    assert found.difference == difference


@pytest.mark.parametrize(
    "names",
    [
        ("Crazing", "Inclusion", "Patches", "Pitted", "Rolled", "Scratches"),
        ("type 1", "type 2", "type 12"),
        ("normal", "abnormal"),
        ("rust", "rest"),
        ("good", "not_good"),
        ("with_defect", "without_defect"),
    ],
)
def test_different_names_are_left_alone(names: tuple[str, ...]) -> None:
    assert find_names_alike(list(names)) == []
