"""NTU RGB+D as the dictionaries that its authors' ``txt2npy.py`` saves."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.fields import as_floats
from pyg_msg3d.io.ntu import SampleName, class_names
from pyg_msg3d.io.object_array import open_objects
from pyg_msg3d.io.reader import Reader
from pyg_msg3d.io.sequence import SkeletonSequence


class NTUArrayReader(Reader):
    r"""One ``.skeleton.npy`` file of NTU RGB+D: a pickled dictionary with
    ``skel_body0``, ``skel_body1``, ... :math:`(T, 25, 3)`, read without running any
    code. Bodies are slots, in each frame's own order.

    Args:
        path (str or path): The file.

    Raises:
        SkeletonDataError: If it is something else.
    """

    format = 'NTU RGB+D arrays (.skeleton.npy)'
    skeleton = 'ntu-rgb+d'

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path)
        self.names = [self.path.stem.removesuffix('.skeleton')]
        sample = SampleName.parse(self.names[0])
        self.classes = class_names() if sample else ()

    def read(self, index: int) -> SkeletonSequence:
        """Reads the recording."""
        where = printable(self.path)
        found: Any = open_objects(self.path)
        record = found[0] if len(found) == 1 else None
        bodies = []
        if isinstance(record, Mapping):
            keys = sorted(k for k in record if str(k).startswith('skel_body'))
            bodies = [as_floats(record[key], f'{where}: {key}') for key in keys]
        shapes = {body.shape for body in bodies}
        if len(shapes) != 1 or next(iter(shapes))[1:] != (25, 3):
            raise SkeletonDataError(
                f"'{where}': expected a dictionary of 'skel_body0', ... [frames, 25, "
                f'3] (got {", ".join(map(str, sorted(shapes))) or "none"})'
            )
        sample = SampleName.parse(self.names[0])
        return SkeletonSequence(
            np.stack(bodies),
            self.names[0],
            label=sample.action - 1 if sample else None,
            path=where,
        )
