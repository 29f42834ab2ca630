"""SQS's message attributes: what they count for in limits, and the digest of them that senders compare."""

import hashlib
import struct
from typing import Any

Json = dict[str, Any]


def attribute_bytes(attributes: Json) -> int:
    """Return the bytes that message attributes count for in the limits: name, type and value."""
    return sum(
        len(name.encode()) + len(value["DataType"].encode()) + len(value.get("StringValue", "").encode())
        for name, value in attributes.items()
    )


def attributes_md5(attributes: Json) -> str:
    """Return the digest that SQS gives back: by name, each field with its length before it, 1 for a textual value."""
    digest = hashlib.md5(usedforsecurity=False)
    for name, value in sorted(attributes.items()):
        kind, text = value["DataType"].encode(), value["StringValue"].encode()
        digest.update(struct.pack(">I", len(name.encode())) + name.encode())
        digest.update(struct.pack(">I", len(kind)) + kind + b"\x01")
        digest.update(struct.pack(">I", len(text)) + text)
    return digest.hexdigest()
