"""How much one visitor may send in a day."""

from __future__ import annotations

import pytest

from space.feedback import quota as quota_module
from space.feedback.quota import Quota, Visitor

ADA, BEA = Visitor("ada", "1.1.1.1"), Visitor("bea", "2.2.2.2")


def test_a_visit_has_a_tenth_of_the_folder_and_an_address_half() -> None:
    quota = Quota(1000)
    quota.add(ADA, 99)
    assert not quota.is_used_up(ADA)
    quota.add(ADA, 1)
    assert quota.is_used_up(ADA)
    assert not quota.is_used_up(BEA)
    later = Visitor("later", ADA.address)
    assert not quota.is_used_up(later)
    for number in range(4):
        quota.add(Visitor(str(number), ADA.address), 100)
    assert quota.is_used_up(later)
    assert not quota.is_used_up(BEA)


def test_small_corrections_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota_module, "VISIT_CORRECTIONS", 2)
    monkeypatch.setattr(quota_module, "ADDRESS_CORRECTIONS", 3)
    quota = Quota(10**9)
    quota.add(ADA, 1)
    assert not quota.is_used_up(ADA)
    quota.add(ADA, 1)
    assert quota.is_used_up(ADA)
    quota.add(Visitor("other", ADA.address), 1)
    assert quota.is_used_up(Visitor("third", ADA.address))


def test_the_next_day_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    quota = Quota(10)
    quota.add(ADA, 10)
    assert quota.is_used_up(ADA)
    now = quota._began_s + quota_module.DAY_S + 1
    monkeypatch.setattr("space.feedback.quota.time.monotonic", lambda: now)
    assert not quota.is_used_up(ADA)


def test_a_program_without_a_session_is_counted_by_its_address() -> None:
    quota = Quota(10)
    quota.add(Visitor("", ""), 10)
    assert not quota.is_used_up(Visitor("", "1.1.1.1"))
    quota.add(Visitor("x", "1.1.1.1"), 10)
    assert quota.is_used_up(Visitor("", "1.1.1.1"))
