"""The zoo's page says what the configurations say."""

from __future__ import annotations

from models import catalogue


def test_the_page_of_the_zoo_is_current() -> None:
    page = catalogue.PAGE.read_text(encoding="utf-8")
    assert catalogue.page(page) == page, "run `uv run python models/catalogue.py`"
