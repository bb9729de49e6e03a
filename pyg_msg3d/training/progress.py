"""How far a training is."""

import sys
import time

from tqdm import tqdm

_EVERY = 60.0  # Seconds between lines in logs.


class Progress:
    r"""A bar on terminals, and a line a minute in logs, with loss, clips per second
    and the time left of the whole training.

    Args:
        total (int): The clips of the whole training.
        initial (int): Those of earlier runs of it.
        shown (bool): Whether this process shows anything.
    """

    def __init__(self, total: int, initial: int, shown: bool) -> None:
        self._shown = shown
        self._bar = tqdm(
            total=total,
            initial=initial,
            unit='clips',
            unit_scale=True,
            mininterval=1,
            leave=False,
            dynamic_ncols=True,
            # None: on terminals alone.
            disable=None if shown else True,
        )
        self._done, self._total = initial, total
        self._first, self._start = initial, time.monotonic()
        self._spoke = self._start

    def advance(self, clips: int, epoch: int, loss: float) -> None:
        """So many clips more."""
        self._done += clips
        self._bar.set_description(f'Epoch {epoch}', refresh=False)
        self._bar.set_postfix(loss=f'{loss:.3f}', refresh=False)
        self._bar.update(clips)
        now = time.monotonic()
        if self._bar.disable and self._shown and now - self._spoke >= _EVERY:
            self._spoke = now
            rate = (self._done - self._first) / (now - self._start)
            left = (self._total - self._done) / rate
            self.say(
                f'epoch {epoch:3d}  loss {loss:.3f}  {self._done / self._total:.1%} '
                f'done, {rate:.0f} clips/s, {tqdm.format_interval(left)} left'
            )

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        if self._shown:
            tqdm.write(text, file=sys.stdout)
            sys.stdout.flush()

    def close(self) -> None:
        """Removes the bar."""
        self._bar.close()
