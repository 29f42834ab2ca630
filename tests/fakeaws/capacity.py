"""Capacity as a token bucket. Pure: the time is an argument."""


class TokenBucket:
    """`rate` units a second, of which `burst_seconds` worth can be saved up; DynamoDB saves 300 seconds.

    Holds `tokens` at the time `start`; full if not given.
    """

    __slots__ = ("_at", "_tokens", "most", "rate")

    def __init__(
        self, rate: float, *, burst_seconds: float = 300.0, tokens: float | None = None, start: float = 0.0
    ) -> None:
        self.rate, self.most, self._at = rate, rate * burst_seconds, start
        self._tokens = self.most if tokens is None else tokens

    def available(self, now: float) -> float:
        """Return the units that can be taken at `now`."""
        if now > self._at:
            self._tokens = min(self.most, self._tokens + (now - self._at) * self.rate)
            self._at = now
        return self._tokens

    def take(self, units: float, now: float) -> bool:
        """Take so many units if they are there; return whether they were."""
        if self.available(now) < units:
            return False
        self._tokens -= units
        return True
