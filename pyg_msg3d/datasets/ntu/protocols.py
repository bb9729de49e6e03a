"""Which samples NTU RGB+D has, and who trains and tests.

The lists of missing skeletons are the data set authors'; which performer appears in
which setup was derived from published sample lists.
"""

import json
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from pathlib import Path

from pyg_msg3d.io import SampleName

_HERE = Path(__file__).parent
_TRAIN_PERFORMERS = frozenset(
    [1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38,
     45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84,
     85, 86, 89, 91, 92, 93, 94, 95, 97, 98, 100, 103]
)  # fmt: skip
_TRAIN_CAMERAS = frozenset([2, 3])
_TRAINS: dict[str, Callable[[SampleName], bool]] = {
    'xsub': lambda sample: sample.performer in _TRAIN_PERFORMERS,
    'xview': lambda sample: sample.camera in _TRAIN_CAMERAS,
    'xset': lambda sample: sample.setup % 2 == 0,
}
# NTU RGB+D 60 is setups 1 to 17 with actions 1 to 60; 120 adds the others.
_SETUPS_60, _ACTIONS_60 = 17, 60
_NOVEL_STEP = 6  # Actions 1, 7, 13, ..., 115.

PROTOCOLS: dict[int, tuple[str, ...]] = {
    60: ('xsub', 'xview'),
    120: ('xsub', 'xset', 'oneshot'),
}
SPLITS: dict[str, tuple[str, ...]] = {
    'xsub': ('train', 'test'),
    'xview': ('train', 'test'),
    'xset': ('train', 'test'),
    'oneshot': ('train', 'exemplar', 'test'),
}


def split_of(sample: SampleName, protocol: str) -> str:
    r"""The split of a sample.

    - ``'xsub'``: 53 performers train (20 of the 40 of NTU RGB+D 60), the others test.
    - ``'xview'``: cameras 2 and 3 train, camera 1 tests.
    - ``'xset'``: even setups train, odd ones test.
    - ``'oneshot'``: 100 classes train, the auxiliary set; of each of the other 20
      (A1, A7, ..., A115) one sample is the exemplar, the others test.
    """
    if protocol == 'oneshot':
        if sample.action % _NOVEL_STEP != 1:
            return 'train'
        return 'exemplar' if sample == _exemplar(sample.action) else 'test'
    return 'train' if _TRAINS[protocol](sample) else 'test'


def _exemplar(action: int) -> SampleName:
    setup = 1 if action <= _ACTIONS_60 else 18
    return SampleName(setup, camera=3, performer=8, repetition=1, action=action)


@cache
def missing_samples() -> frozenset[str]:
    """The samples without a usable skeleton: 302 of NTU RGB+D 60, 233 more of 120."""
    return frozenset((_HERE / 'missing_skeletons.txt').read_text().split())


def samples(benchmark: int) -> Iterator[str]:
    """The names of all samples of NTU RGB+D 60 or 120 that have a skeleton."""
    facts = json.loads((_HERE / 'performers_of_setup.json').read_text())
    for setup, performers in facts['performers_of_setup'].items():
        first = 1 if int(setup) <= _SETUPS_60 else _ACTIONS_60 + 1
        if first > benchmark:
            continue
        actions = range(first, first + _ACTIONS_60)
        for parts in product([int(setup)], (1, 2, 3), performers, (1, 2), actions):
            name = str(SampleName(*parts))
            if name not in missing_samples():
                yield name
