"""Reading: bytes of an object -> blocks of records. Pure."""
