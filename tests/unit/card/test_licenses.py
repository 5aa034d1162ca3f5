"""License ids: those of the Hub, what somebody may have meant, and what base weights carry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_card.card import render_card
from model_card.front_matter import card_data
from model_card.licenses import LICENSES, suggested_license
from tests.loopback_hub.cards import LICENSES as ACCEPTED
from tests.support.drawn_text import CHARACTERS
from tests.support.reports import example_model, example_report


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Apache-2.0", "apache-2.0"),
        ("Apache 2.0", "apache-2.0"),
        ("The Apache License, Version 2.0", "apache-2.0"),
        ("MIT License", "mit"),
        ("GPLv3", "gpl-3.0"),
        ("CC BY 4.0", "cc-by-4.0"),
        ("cc-by-nc", "cc-by-nc-4.0"),
        ("BSD-3", "bsd-3-clause"),
        ("cc0", "cc0-1.0"),
        ("Mozilla Public License 2.0", "mpl-2.0"),
        ("none", None),
        ("None", None),
        ("null", None),
        ("proprietary", None),
        ("", None),
    ],
)
def test_what_was_meant(text: str, meant: str | None) -> None:
    assert suggested_license(text) == meant


@given(st.text(CHARACTERS))
def test_any_text_has_a_known_suggestion_or_none(text: str) -> None:
    assert suggested_license(text) in {None, *LICENSES}


def test_each_id_is_suggested_for_itself() -> None:
    assert [suggested_license(license_id.upper()) for license_id in LICENSES] == [*LICENSES]
    assert [license_id.lower().strip() for license_id in LICENSES] == [*LICENSES]


def test_the_hub_of_the_tests_knows_no_other_ids() -> None:
    assert set(LICENSES) >= ACCEPTED


@pytest.mark.parametrize(
    ("license_id", "head"),
    [
        ("mit", {"license": "mit"}),
        (None, {}),
        ("dinov3-license", {"license": "other", "license_name": "dinov3-license"}),
    ],
)
def test_licenses_in_the_front_matter(license_id: str | None, head: dict[str, str]) -> None:
    """Some base weights of timm carry a license that the Hub does not list."""
    report = example_report(model=example_model(license=license_id))
    data = card_data(report, "steel")
    found = {key: data.get(key) for key in ("license", "license_name")}
    assert {key: value for key, value in found.items() if value is not None} == head


def test_the_card_of_fastervit_forbids_commercial_use_and_registers_it() -> None:
    """It is not in timm: without the import, the snippet would fail."""
    model = example_model(
        architecture="faster_vit_0_224", license="nvidia-source-code-license-nc", base_model=None
    )
    card = render_card(example_report(model=model), "ada/steel")
    assert "license_name: nvidia-source-code-license-nc" in card
    assert "both forbid commercial use" in card
    snippet = card.partition("```python\n")[2].partition("```")[0]
    lines = snippet.splitlines()
    assert lines[0].startswith('# pip install fastervit "timm>=')
    registered = lines.index("import space.inference.networks.faster_vit")
    assert registered < next(n for n, line in enumerate(lines) if "timm.create_model" in line)
    assert "commercial" not in render_card(example_report(), "ada/steel")
