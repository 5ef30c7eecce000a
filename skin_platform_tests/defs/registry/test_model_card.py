"""A version's card in the store: made of its evidence alone, held against it, and written anew after each move."""

from dataclasses import replace

import dagster as dg
import pytest

from skin_platform.commands.serve import _how
from skin_platform.core.references import ModelVersionReference
from skin_platform.defs.registry.behind import stale_cards
from skin_platform.defs.registry.model_card import (
    CARD,
    card_faults,
    every_number_stands_in_the_evidence,
    model_card,
    read_card,
    write_card,
)
from skin_platform.defs.registry.registering import origin_of
from skin_platform.defs.resources import StoresResource
from skin_platform.serving.exporting import Promotion
from skin_platform.storage.faults import StorageError
from skin_platform_tests.core.card_evidence import LABELS
from skin_platform_tests.defs.registry.versions import add_version, move, opened


@pytest.fixture
def stores(tmp_path):
    return opened(tmp_path / "home")


def reference(version, stores):
    return ModelVersionReference(version, origin_of(version, stores), "")


def resource(stores):
    return StoresResource(home=str(stores.settings.home.root))


def checked(version, stores):
    return every_number_stands_in_the_evidence(reference(version, stores), resource(stores))


def test_the_asset_keeps_the_card_beside_the_version_shows_it_and_its_check_passes(stores):
    version = add_version(stores, 1)
    result = model_card(dg.build_asset_context(), registered=reference(version, stores), stores=resource(stores))
    assert result.metadata["card"].value == read_card(version, stores)
    found = checked(version, stores)
    assert found.passed, found.description
    [spec] = every_number_stands_in_the_evidence.check_specs
    assert spec.blocking
    assert spec.asset_key == model_card.key


@pytest.mark.parametrize(("tampered", "told"), [
    (lambda card: card.replace("right answers) | 0.", "right answers) | 1."), "+ | accuracy"),
    (lambda card: card + "\nIt was tried on 4711 patients.\n", "4711"),
    (lambda card: card.replace("**Not a medical device.** ", ""), "- **Not a medical device.**"),
], ids=["a digit", "a number from elsewhere", "a warning taken out"])
def test_a_card_that_says_otherwise_fails_the_check(stores, tampered, told):
    version = add_version(stores, 1)
    card = write_card(version, stores)
    assert tampered(card) != card
    stores.versions.write_file(version, CARD, tampered(card).encode())
    found = checked(version, stores)
    assert not found.passed
    assert told in found.description


def test_evidence_that_was_changed_behind_our_back_makes_no_card(stores):
    version = add_version(stores, 1)
    data = stores.versions.read_file(version, "evaluation.json").replace(b'"n": 160', b'"n": 961')
    stores.versions.write_file(version, "evaluation.json", data)
    with pytest.raises(StorageError, match=r"evaluation\.json is damaged"):
        write_card(version, stores)


def test_a_version_that_was_not_judged_has_no_card_yet_and_the_error_says_what_to_do(stores):
    with pytest.raises(KeyError, match="no model version v20200101_000000"):
        write_card("v20200101_000000", stores)
    version = add_version(stores, 1)
    with pytest.raises(KeyError, match=r"has no model_card\.md: materialize"):
        read_card(version, stores)


def test_after_a_move_the_card_is_behind_until_it_is_written_anew(stores):
    first, second = add_version(stores, 1), add_version(stores, 2)
    move(stores, "champion", first)
    for version in (first, second):
        write_card(version, stores)
    assert "Standing: champion." in read_card(first, stores)
    move(stores, "champion", second, kind="forced", by="Bobé", why="for | the demo")
    assert stale_cards(stores) == [first, second]
    for version in stale_cards(stores):
        write_card(version, stores)
        assert card_faults(version, stores) == []
    assert "Standing: former champion." in read_card(first, stores)
    assert "**Forced promotion. Bobé made this version the champion" in read_card(second, stores)
    assert stale_cards(stores) == []


@pytest.mark.parametrize("setting", ["0.8", "0"])
def test_a_floor_below_the_built_in_one_is_told_at_the_top_whatever_the_shell_says(tmp_path, monkeypatch, setting):
    monkeypatch.setenv("PERFORMANCE_THRESHOLD", setting)
    stores = opened(tmp_path / "home")
    assert stores.settings.performance_threshold == float(setting)
    version = add_version(stores, 1, floor=0.36)
    assert "**The floor was lowered: an accuracy of 0.36 was demanded" in write_card(version, stores)
    promotion = Promotion(version, "promoted", "ann", "it is better", "today", 1, 0.36, forced=False)
    assert "UNDER A FLOOR LOWERED TO 0.36 (0.8 is usual)" in _how(promotion)
    assert "FLOOR" not in _how(replace(promotion, floor=0.8))
    assert "floor was lowered" not in write_card(add_version(stores, 2, floor=0.8), stores)


def test_any_label_stands_in_the_card_of_the_store(stores):
    version = add_version(stores, 1)
    write_card(version, stores)
    assert card_faults(version, stores) == []
    assert read_card(version, stores).count("grade 2 # title") >= 5
    assert LABELS[2] not in read_card(version, stores), "it holds a line break"
