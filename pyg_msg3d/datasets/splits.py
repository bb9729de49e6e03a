"""What all data sets call their splits."""

from collections.abc import Sequence


def check_split(split: str | None, known: Sequence[str]) -> None:
    """Refuses a split that a data set does not have; None stands for all clips.

    Raises:
        ValueError: If it is none of those known.
    """
    if split is not None and split not in known:
        raise ValueError(
            f"'split' must be one of {', '.join(known)}, or None for all clips (got "
            f'{split!r})'
        )
