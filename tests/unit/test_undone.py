"""What the account of an ingestion tells of being undone."""

from typing import Any

from engine.accounts import Account, attribute
from engine.undone import undone_fact, undone_of


def account(*facts: tuple[str, str], changed: int = 500) -> Account:
    entry: dict[str, str | int] = {"ingestion": "i", "part": "entry", "status": "done", "ended": 400, "read": 9}
    item: dict[str, Any] = {name: attribute(value) for name, value in {**entry, "changed": changed}.items()}
    found = Account()
    found.add(item | {name: attribute(value) for name, value in facts})
    return found


def test_runs_add_up_and_noting_one_again_changes_nothing() -> None:
    assert undone_of(account().entry) is None
    one, other = undone_fact(1_000, 4, 500), undone_fact(2_000, 3, 500)
    assert undone_of(account(one, one).entry) == (1_000, 4)
    found = account(undone_fact(1_000, 0, 500), one, other)
    assert undone_of(found.entry) == (2_000, 7)
    assert found.document(9_000, 60_000)["undone"] == {"at": "1970-01-01T00:00:02.000Z", "items": 7}
    assert found.counts()["read"] == 9


def test_object_that_was_read_again_is_not_undone() -> None:
    assert undone_of(account(undone_fact(1_000, 4, 500), changed=600).entry) is None
    assert account(undone_fact(1_000, 4, 500), changed=600).document(9_000, 60_000)["undone"] is None
    again = account(undone_fact(1_000, 4, 500), undone_fact(2_000, 3, 600), changed=600)
    assert undone_of(again.entry) == (2_000, 3)
