"""Being asked to stop."""

import signal
import threading
from types import FrameType, TracebackType

# Ctrl-C is SIGINT; Slurm sends SIGUSR1 ahead of a job's end, where it is asked to.
_SIGNALS = tuple(
    getattr(signal, name)
    for name in ('SIGINT', 'SIGTERM', 'SIGUSR1')
    if hasattr(signal, name)
)


class Interrupts:
    """Takes note of SIGINT, SIGTERM and SIGUSR1 instead of ending the process at once,
    so that a step can be finished and saved. Further ones change nothing: launchers
    often pass on what the process has got already, and kill what does not end in
    time."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[int, signal._HANDLER] = {}

    @property
    def came(self) -> bool:
        """Whether this process was asked to stop."""
        return self.received is not None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)

    def __enter__(self) -> 'Interrupts':
        # Elsewhere, Python takes no handlers.
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
