"""Whatever was asked of the course is in it: each id of asked.txt has an anchor where the course does it."""

from tests.guides import asked


def test_every_id_that_was_asked_for_has_a_place():
    present = {*asked.places(), *asked.visible()}
    missing = [id for id in asked.ids() if id not in present]
    assert not missing, f"write `asked: ID` where the course does it: {', '.join(missing)}"


def test_every_anchor_names_something_that_was_asked_for():
    strange = {id: where for id, where in asked.places().items() if id not in set(asked.ids())}
    assert strange == {}


def test_no_id_is_listed_twice_and_ranges_are_spread():
    ids = asked.ids()
    assert len(ids) == len(set(ids)) > 800
    assert {"C-08", "C-09", "C-10", "P1-W1a-2", "D04-T15"} <= set(ids)
    assert asked._spread("A-08..10") == ["A-08", "A-09", "A-10"]


def test_readers_see_no_anchor():
    page = "# Title\n\n<!-- asked: G-017 -->\nText.\n\n- One. <!-- asked: R-P01, R-P02 -->\n- Two.\n"
    assert asked.without_anchors(page) == "# Title\n\nText.\n\n- One.\n- Two.\n"
