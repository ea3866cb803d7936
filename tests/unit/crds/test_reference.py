"""The page that people read says what the schemas say."""

from docs.reference import ROOT, reference


def test_the_reference_page_is_that_of_the_crds() -> None:
    """`make docs` renews it."""
    assert (ROOT / "docs/crds.md").read_text() == reference()
