"""How hard the property tests try: the same examples each time, or new ones where a person asks for them."""

import os

from hypothesis import settings

# Not a single outcome may depend on chance or on how busy the machine is; HYPOTHESIS_PROFILE=thorough looks further.
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.register_profile("thorough", max_examples=5_000, deadline=None, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
