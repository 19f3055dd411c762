import pytest

from ovrs.climate.composer import compose
from ovrs.climate.zones import ZONES
from ovrs.errors import DataError


def facts(tmp_path, zones="facts: {}", classes=""):
    (tmp_path / "zones.yaml").write_text(zones)
    (tmp_path / "things.yaml").write_text(classes)
    return tmp_path


def test_the_most_particular_key_of_a_fact_counts(tmp_path):
    text = """
classes:
  tree:
    crown: {"*": round, "D*": pointed, "D?d": thin, "Dfd,Dwd": bare, EF: "no"}
    say: "A tree is {crown}."
"""
    bank = compose(facts(tmp_path, classes=text))
    said = {zone: bank.sentence(zone, "tree").text for zone in ("Af", "Dfa", "Dsd", "Dfd", "EF")}
    assert said == {
        "Af": "A tree is round.",
        "Dfa": "A tree is pointed.",
        "Dsd": "A tree is thin.",
        "Dfd": "A tree is bare.",
        "EF": "A tree is no.",
    }
    assert bank.sentence("Af", "tree").provenance.startswith("ovrs facts v1: things.yaml + zones.yaml")


def test_facts_of_the_class_come_before_those_of_its_family_and_of_the_zones(tmp_path):
    text = """
families:
  plant: {say: "{name} has {color} leaves on {soil}.", color: green}
classes:
  elm: {family: plant}
  plum: {family: plant, color: red, soil: stone}
"""
    bank = compose(facts(tmp_path, 'facts: {soil: "{wet} earth", wet: damp, color: grey}', text))
    assert bank.sentence("Af", "elm").text == "Elm has green leaves on damp earth."
    assert bank.sentence("Af", "plum").text == "Plum has red leaves on stone."


def test_of_several_phrases_one_is_taken_always_the_same_and_not_everywhere_the_same(tmp_path):
    text = "classes: {sea: {say: 'Sea is {color}.', color: blue | green | grey}}"
    folder = facts(tmp_path, classes=text)
    said = [compose(folder).sentence(zone, "sea").text for zone in ZONES]
    assert set(said) == {"Sea is blue.", "Sea is green.", "Sea is grey."}
    assert said == [compose(folder).sentence(zone, "sea").text for zone in ZONES]


def test_an_article_fits_the_word_behind_it(tmp_path):
    text = (
        "classes: {x: {say: 'X is a {w}.', w: {'*': isle, 'B*': unit, 'C*': one-way street, 'D*': eucalyptus, 'EF': umbrella}}}"
    )
    bank = compose(facts(tmp_path, classes=text))
    said = [bank.sentence(zone, "x").text for zone in ("Af", "BWh", "Cfb", "Dfb", "EF")]
    assert said == ["X is an isle.", "X is a unit.", "X is a one-way street.", "X is a eucalyptus.", "X is an umbrella."]


def test_synonyms_of_the_table_go_to_the_class_that_no_other_claims(tmp_path):
    text = "classes: {tree: {also: [wood], say: Tree.}, forest: {also: [woodland], say: Forest.}}"
    table = [("Wood", ("woodland", "timber", "forest")), ("forest", ("timber", "jungle")), ("ship", ("boat",))]
    bank = compose(facts(tmp_path, classes=text), table)
    assert bank.synonyms == {"tree": ("wood", "timber"), "forest": ("woodland", "jungle")}


@pytest.mark.parametrize(
    "classes, said",
    [
        ("classes: {x: {say: 'X {', color: [}}", "no YAML"),
        ("sentences: {}", "no file of facts"),
        ("classes: {x: {say: 'X is {color}.'}}", r"classes\.x: there is no fact 'color'"),
        ("classes: {x: {say: 'X is {color}.', color: {'B*': tan}}}", "no key for Af"),
        ("classes: {x: {say: 'X.', family: y}}", r"classes\.x\.family: 'y'"),
        ("classes: {x: {say: 'X is {c}.', c: {'A*': tan, 'A?': red, '*': grey}}}", r"A\* and A\? for Af"),
        ("classes: {x: {say: 3}}", "say is 3"),
        ("classes: {x: {say: 'X {c}.', c: '{say}'}}", "cannot be filled in"),
    ],
)
def test_facts_that_cannot_work_are_named(tmp_path, classes, said):
    with pytest.raises(DataError, match=said) as error:
        compose(facts(tmp_path, classes=classes))
    assert "things.yaml" in str(error.value)


def test_a_class_in_two_files_and_a_folder_without_facts_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"zones\.yaml: cannot be read"):
        compose(tmp_path)
    folder = facts(tmp_path, classes="classes: {x: {say: X.}}")
    (folder / "again.yaml").write_text("classes: {x: {say: X.}}")
    with pytest.raises(DataError, match=r"'x' is also a class of again\.yaml"):
        compose(folder)
