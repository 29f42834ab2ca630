"""What SQS is told of a message besides its body."""

import pytest

from engine.messages.message import Outgoing, text_attribute

ID = "0123456789abcdef0123"


@pytest.mark.parametrize(
    ("ingestion", "group"), [(ID, ID), ("", None), (ID[1:], None), (ID + "0", None), ("größe und mehr, 20 Z", None)]
)
def test_group_is_the_ingestion_if_it_is_one_of_ours(ingestion: str, group: str | None) -> None:
    """SQS refuses other characters, and another program's message may say anything."""
    assert Outgoing(b"", 1, {"ingestion": text_attribute(ingestion)}).group == group


def test_message_without_ingestion_has_no_group() -> None:
    assert Outgoing(b"", 1, {}).group is None
