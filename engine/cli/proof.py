"""Which items an ingestion has in the table: each row's key, and what shows that an item is still as the row wrote it.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.decimal_text import canonical_number
from engine.identity import ingestion_digits, row_digits
from engine.item_keys import Item, Key, key_of
from engine.items import Items, canonical_key
from engine.messages.message import Message
from engine.schema.model import Schema


def proof_attribute(schema: Schema) -> str | None:
    """Return the attribute that shows which object an item was made from, or None if the schema has none.

    An attribute of the key is preferred: such an item is never replaced by another object's.
    """
    kinds = {name: kind for name, kind in schema.generated.items() if kind in ("version", "ingestion")}
    in_key = [name for name in schema.keys if name in kinds]
    beside = sorted(kinds, key=lambda name: kinds[name] != "version")
    return next(iter([*in_key, *beside]), None)


def proofs_of(message: Message, schema: Schema) -> list[tuple[Key, str]]:
    """Return key and proof of each row's item. The proof is empty if it is part of the key."""
    items = Items(schema)
    items.add(message)
    types = [schema.types[name] for name in schema.keys]
    keys = [canonical_key(zip(types, items.key(index), strict=True)) for index in range(len(items))]
    return list(zip(keys, _proofs(message, schema), strict=True))


def _proofs(message: Message, schema: Schema) -> list[str]:
    attribute = proof_attribute(schema)
    if attribute is None or attribute in schema.keys:
        return [""] * len(message.numbers)
    if schema.generated[attribute] == "ingestion":
        return [message.ingestion] * len(message.numbers)
    digits = ingestion_digits(message.ingestion)
    return [f"{message.modified}.{row}{digits}" for row in row_digits(message.numbers)]


def own_keys(wanted: Iterable[tuple[Key, str]], items: Iterable[Item], schema: Schema) -> dict[Key, str]:
    """Return which of `items` are still as rows with these keys and proofs wrote them: key -> proof.

    Only for schemas with a proof attribute. An item that a later row or another object has replaced has another proof.
    """
    own = {(key, _number(proof)): proof for key, proof in wanted}
    name = proof_attribute(schema) or ""
    found: dict[Key, str] = {}
    for item in items:
        proof = "" if name in schema.keys else str(item.get(name, {}).get(schema.types[name], ""))
        place = key_of(item, schema), _number(proof)
        if place in own:
            found[place[0]] = own[place]
    return found


def _number(proof: str) -> str:
    """Return a proof so that two ways to write one version are equal; an ingestion's id is never changed."""
    return (canonical_number(proof) or proof) if "." in proof else proof
