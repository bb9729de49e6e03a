from time import perf_counter


class Saver:
    """When to save between the ends of epochs: after so many steps or, without a
    number, so that a process loses a tenth of its life and ten minutes at most, while
    saving takes a twentieth of the time at most."""

    _LOST, _MOST, _COST = 0.1, 600.0, 0.05

    def __init__(self, every: int) -> None:
        self._every = every
        self._begin = perf_counter()
        self._next = 0.0

    def due(self, step: int) -> bool:
        """Whether it is time, once that many steps are done."""
        return step % self._every == 0 if self._every else perf_counter() >= self._next

    def saved(self, seconds: float) -> None:
        """Takes note that the checkpoint was written, and how long it took."""
        now = perf_counter()
        lost = min(self._MOST, self._LOST * (now - self._begin))
        self._next = now + max(seconds / self._COST, lost)
