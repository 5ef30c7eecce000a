"""Promises of the model card: no number but the evidence's, nothing loud left unsaid, and no name breaks out of its place."""

import html
import re
from dataclasses import asdict, replace

import pytest
from markdown_it import MarkdownIt

from skin_platform.core.card_check import lines_not_in, numbers_not_in
from skin_platform.core.gate_rules import GateRules, SubgroupRules
from skin_platform.core.gates import judge
from skin_platform.core.markdown import code, escaped, table
from skin_platform.core.model_card import render_card
from skin_platform_tests.core.card_evidence import CHAMPION, LABELS, VERSION, drawn, move, stored

BIG = tuple(f"größe {i}.{i}" for i in range(14))


@pytest.fixture(scope="module")
def evidence():
    return stored(moves=[move("challenger", number=2, kind="registered"), move(kind="forced", by="bob", why="shown at 9")],
                  words={"floor_note": "The floor was lowered to 0.31."})


@pytest.fixture(scope="module")
def card(evidence):
    return render_card(evidence)


def of_labels(labels, n=160):
    return stored(drawn(labels, n))


@pytest.mark.parametrize("labels", [LABELS, ("1", "2", "0.9"), ("a", "b"), BIG, ("\u202eevil", "www.x.y", "a@b.c", "数字 3")],
                         ids=["markup", "numbers", "two", "many", "steering"])
def test_every_number_of_a_card_is_one_of_the_evidence(labels):
    evidence = of_labels(labels)
    told = render_card(evidence)
    assert numbers_not_in(told, evidence) == []
    assert lines_not_in(told, evidence) == []
    assert told == render_card(evidence)


def test_a_digit_that_was_altered_is_found_wherever_it_stands(card, evidence):
    digits = [found.start() for found in re.finditer(r"\d", card)]
    assert len(digits) > 1500
    for place in digits[::17]:
        assert lines_not_in(_altered(card, place), evidence) != []


def test_a_figure_of_another_source_is_found_by_its_value_alone(card, evidence):
    """Where the wording itself brought it in, both the card and what it is held against would have it."""
    digits = [found.start() for found in re.finditer(r"\d", card)][::17]
    missed = [place for place in digits if not numbers_not_in(_altered(card, place), evidence)]
    assert len(missed) <= 0.25 * len(digits), "another number of the evidence happens to be written so"
    for alien in ("\nIt was tried on 4711 patients.", "\nThe sensitivity is 99.7 %.", f"\nSee {'0123abcd' * 8}.",
                  "\nIt beats v20250101_000000.", "\nSince 2024-02-30."):
        assert numbers_not_in(card + alien, evidence) != []


def test_a_line_that_was_taken_out_or_moved_is_found(card, evidence):
    lines = card.splitlines()
    loud = next(line for line in lines if line.startswith("**Forced promotion"))
    assert f"- {loud}" in lines_not_in(card.replace(loud, ""), evidence)
    assert lines_not_in(card + lines[-1] + "\n", evidence) == [f"+ {lines[-1]}"]
    rows = [line for line in lines if line.startswith("| sex: ")]
    assert lines_not_in(card.replace(f"{rows[0]}\n{rows[1]}", f"{rows[1]}\n{rows[0]}"), evidence) != []


def test_a_letter_of_a_digest_that_was_altered_is_found_by_its_value_alone(card, evidence):
    digest = evidence["evaluation"]["evidence_sha256"]
    assert numbers_not_in(card.replace(digest, digest.replace("e", "f", 1)), evidence) != []


def test_what_nobody_may_overlook_stands_at_the_top_in_bold(card):
    top = card.partition("## ")[0]
    assert re.search(r"\*\*Forced promotion\. bob made this version the champion at 2026-05-02 08:00:05 UTC against the "
                     r"gates\. Reason given: shown at 9\.\*\* Against it, at that time: floor: accuracy", top)
    assert "**The floor was lowered to 0.31.**" in top
    assert "**Not a medical device.**" in top
    assert "Forced" not in render_card(stored(moves=[move()]))


def test_what_the_gates_said_is_not_said_twice_where_the_reason_quotes_it(evidence):
    [blocking] = [of["reason"] for of in evidence["verdict"]["verdicts"] if of["blocks"]]
    told = render_card(evidence | {"moves": [move(kind="forced", why=f"a try (against it: floor: {blocking})")]})
    assert told.partition("## ")[0].count(escaped(blocking)) == 1


@pytest.mark.parametrize(("moves", "standing"), [
    ([], "registered, neither champion nor challenger"),
    ([move("challenger", number=2)], "challenger"),
    ([move("challenger", number=2), move()], "champion"),
    ([move("challenger", number=2), move(), move(number=6, version=CHAMPION)], "challenger"),
    ([move("challenger", number=2), move("challenger", number=3, version=CHAMPION), move(), move(number=6, version=CHAMPION)],
     "former champion"),
])
def test_a_card_says_what_the_version_is_now(moves, standing):
    assert f"Standing: {standing}." in render_card(stored(moves=moves))


def test_every_gate_stands_there_with_its_reason_and_whether_it_blocks(card, evidence):
    for verdict in evidence["verdict"]["verdicts"]:
        row = next(line for line in card.splitlines() if line.startswith(f"| {verdict['gate']} |"))
        assert escaped(verdict["reason"]) in row
        assert ("**yes**" in row) == verdict["blocks"]


def test_a_gate_that_judged_nothing_is_not_said_to_have_passed():
    whole = stored()
    rules = GateRules(0.1, subgroups=SubgroupRules(by=()))
    verdict = whole["verdict"] | {"rules": asdict(rules), "verdicts": [asdict(item) for item in judge(drawn(), None, rules)]}
    evidence = stored(verdict=verdict)
    told = render_card(evidence)
    for gate in ("champion", "malignant recall", "subgroups"):
        assert f"| {gate} | *not judged* | no |" in told
    assert ("Gates that judged nothing, and so say nothing for this version: champion (there is no champion yet); malignant "
            "recall (no label is configured as malignant (gates.labels in dataset.yaml)); subgroups (no attribute") in told
    line = "Nobody has told the platform which labels are malignant: nothing was demanded of them"
    assert f"- {line}" in told.partition("## Limits")[2]
    assert line not in render_card(whole)
    assert numbers_not_in(told, evidence) == lines_not_in(told, evidence) == []


def test_subgroups_and_labels_with_few_images_are_named_among_the_limits(card):
    limits = card.partition("## Limits")[2]
    assert re.search(r"skin type: I \(\d+\)", limits)
    assert "site: ohr\\|links (3)" in limits
    assert escaped(LABELS[3]) in limits
    assert "no external test set" in limits
    assert "exchangeable" in limits


def test_a_subgroup_row_says_of_which_accuracy_its_difference_is_where_images_are_left_out():
    rows = drawn(n=200)
    rare = rows.truth == 3  # all of this label in one place: no other image lets anything expect of them
    sites = tuple("scalp" if is_rare or i % 4 == 0 else "arm" for i, is_rare in enumerate(rare.tolist()))
    evidence = stored(replace(rows, attributes={**rows.attributes, "site": sites}))
    told, few = render_card(evidence), int(rare.sum())
    [row] = [line for line in told.splitlines() if line.startswith("| site: scalp ")]
    accuracy, expected, gap = (float(cell.split()[0]) for cell in (row.split("; accuracy ")[1], *row.split(" | ")[4:6]))
    assert few > 0
    assert f"with {few} of {sites.count('scalp')} left out" in row
    assert accuracy - expected == pytest.approx(gap, abs=0.0015)
    assert "left out" not in next(line for line in told.splitlines() if line.startswith("| site: arm "))
    assert "they are left out of expected and difference" in told
    assert numbers_not_in(told, evidence) == lines_not_in(told, evidence) == []


def test_a_card_is_written_of_whatever_there_is():
    whole = stored()
    evaluation = whole["evaluation"] | {
        "openings": 0, "split": "val", "subgroups": [], "coverage": {}, "images": {}, "accuracy_interval": None,
        "recall": dict.fromkeys(LABELS), "auc": dict.fromkeys(LABELS)}
    bare = {"manifest": {**whole["manifest"], "preprocessing": None}, "evaluation": evaluation}
    told = render_card(bare)
    assert "**No split is locked.**" in told
    assert "not judged yet" in told
    assert "accuracy (share of right answers) | 0." in told
    assert numbers_not_in(told, bare) == lines_not_in(told, bare) == []
    assert "None" not in told
    assert "nan" not in told


def test_a_name_ends_no_cell_and_marks_nothing_up(card):
    rows = [line for line in card.splitlines() if line.startswith("|")]
    cells = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
    heads = [i for i, row in enumerate(rows) if set(row) <= set("|:- ")]
    for start, end in zip([i - 1 for i in heads], [i - 1 for i in heads[1:]] + [len(rows)], strict=True):
        assert len(set(cells[start:end])) == 1, rows[start]
    assert escaped("a\nb\u2028c\u202ed") == "a b c d"
    assert escaped("<b> *x* [l](http://e.vil) `c` __u__ a_b") == r"\<b\> \*x\* \[l\](http\://e.vil) \`c\` \_\_u\_\_ a_b"
    assert code("a`b|c\n") == "`a'b/c`"
    assert table(["a", "b"], [["x", "0.5 (0.4 to 0.6)"]])[1] == "| :-- | --: |"


def test_a_reader_sees_each_name_as_it_is_and_nothing_of_its_making():
    labels = ("rot | *fett*", "blau_é <b>", "grade 2\n# t", "`x` [l](http://a.b)", "~~s~~ &amp; \\", "- li",
              "1. eins", "$m$ __u__")
    evidence = stored(drawn(labels, 300), moves=[move(kind="forced", by="<i>x</i>", why="**a** | b")])
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(render_card(evidence))
    cells = {html.unescape(re.sub("<[^>]+>", "", cell)) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", page)}
    assert {" ".join(label.split()) for label in labels} | {"<i>x</i>", "**a** | b"} <= cells
    tags = {tag for tag in re.findall(r"<(\w+)", page) if tag not in ("table", "thead", "tbody", "tr", "th", "td")}
    assert tags == {"h1", "h2", "h3", "p", "ul", "li", "strong", "em", "code"}


def test_a_card_names_its_version_and_says_who_held_it_against_whom(card):
    assert card.startswith(f"# Model card: `{VERSION}`")
    assert f"held against the champion `{CHAMPION}`" in card


def _altered(card, place):
    return card[:place] + str((int(card[place]) + 3) % 10) + card[place + 1:]
