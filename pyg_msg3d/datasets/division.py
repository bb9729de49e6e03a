"""Which recordings test, where nobody has said so."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from pyg_msg3d.data import SkeletonDataError

_SUBJECT = re.compile(
    r'(?:^|[/_.\- ])(?:subject|subj|sub|person|performer|actor|signer|p|s)'
    r'[_\- ]?(\d{1,4})(?=[/_.\- ]|$)',
    re.IGNORECASE,
)
_NTU = re.compile(r'S\d{3}C\d{3}P(\d{3})R\d{3}A\d{3}')
_FEWEST_SUBJECTS = 3


def divide(
    names: Sequence[str],
    labels: np.ndarray,
    test_share: float,
    by: str = 'auto',
    seed: int = 0,
) -> tuple[np.ndarray, str]:
    r"""Chooses recordings to test on: all of some subjects, where names tell subjects
    (``walk/s03_02``, ``P003``), or else some of every class by chance.

    By chance, the order in which recordings are chosen is theirs alone: others that
    come to the data do not change it.

    Args:
        names (sequence of str): The names of the recordings.
        labels (ndarray): Their labels; recordings without one are in no part.
        test_share (float): The share that is to test.
        by (str, optional): ``'subject'``, ``'chance'``, or ``'auto'``: by subject where
            that is possible. (default: ``'auto'``)
        seed (int, optional): The seed. (default: :obj:`0`)

    Returns:
        Which recordings test, and how they were chosen, in words.

    Raises:
        SkeletonDataError: If names tell no subjects, but should, or a class has one
            recording alone.
        ValueError: If an argument is none.
    """
    if by not in ('auto', 'subject', 'chance') or not 0 < test_share < 1:
        raise ValueError(
            f"Expected by='subject', 'chance' or 'auto' and a share in (0, 1) (got "
            f'{by!r}, {test_share})'
        )
    known = np.flatnonzero(labels >= 0)
    if by != 'chance':
        found = _by_subject(names, labels, known, test_share, seed)
        if found is not None:
            return found
        if by == 'subject':
            raise SkeletonDataError(
                f'Expected names that tell at least {_FEWEST_SUBJECTS} subjects, such '
                f"as 'walk/s03_02', and each class by several of them (got "
                f'{names[0]!r}); divide by chance instead'
            )
    tests = np.zeros(len(names), bool)
    of_class: dict[int, list[int]] = defaultdict(list)
    for index in known:
        of_class[int(labels[index])].append(int(index))
    for label, members in of_class.items():
        if len(members) < 2:
            raise SkeletonDataError(
                f'Class {label} has one recording alone, {names[members[0]]!r}: none '
                f'is left to test on. Record more, or say which test in a column '
                f"'split' of labels.csv"
            )
        count = min(max(1, round(test_share * len(members))), len(members) - 1)
        members.sort(key=lambda index: _drawn(names[index], seed))
        tests[members[:count]] = True
    return tests, f'by chance, with seed {seed}, of each class'


def _by_subject(
    names: Sequence[str],
    labels: np.ndarray,
    known: np.ndarray,
    test_share: float,
    seed: int,
) -> tuple[np.ndarray, str] | None:
    subjects = {int(index): _subject(names[index]) for index in known}
    found = sorted({s for s in subjects.values() if s is not None})
    # A number for each recording counts these, and no subjects.
    few = _FEWEST_SUBJECTS <= len(found) <= len(known) // 2
    if None in subjects.values() or not few:
        return None
    found.sort(key=lambda subject: _drawn(str(subject), seed))
    chosen = set(found[: max(1, round(test_share * len(found)))])
    tests = np.zeros(len(names), bool)
    tests[[index for index, subject in subjects.items() if subject in chosen]] = True
    trains = np.setdiff1d(known, np.flatnonzero(tests))
    if set(labels[tests]) - set(labels[trains]):
        return None  # Somebody alone performs a class.
    shown = ', '.join(map(str, sorted(s for s in chosen if s is not None)))
    return tests, f'all of subject{"s" if len(chosen) > 1 else ""} {shown}'


def _subject(name: str) -> int | None:
    match = _NTU.search(name) or _SUBJECT.search(name)
    return None if match is None else int(match[1])


def _drawn(name: str, seed: int) -> bytes:
    """Its place in an order by chance that no other recording changes."""
    return hashlib.sha256(f'{seed}\0{name}'.encode('utf-8', 'surrogatepass')).digest()
