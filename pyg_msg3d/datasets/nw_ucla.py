from collections.abc import Callable
from os import PathLike
from pathlib import Path

import torch

from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.datasets.in_memory import InMemorySkeletonDataset
from pyg_msg3d.datasets.splits import check_split
from pyg_msg3d.io import NWUCLAReader
from pyg_msg3d.skeletons import skeleton

_SPLITS = ('train', 'test')


class NWUCLA(InMemorySkeletonDataset):
    r"""The Northwestern-UCLA Multiview Action 3D skeletons of the `"Cross-view Action
    Modeling, Learning and Recognition" <https://arxiv.org/abs/1405.2941>`_ paper, in
    the JSON form that CTR-GCN distributes: :obj:`all_sqe.zip`, read as it is.

    Kinect v1 skeletons of one person, 20 joints in metres, 10 actions by 10 subjects
    before three cameras; views 1 and 2 train, view 3 tests.

    ===== ===== ====== ====== ===== ========
    train test  joints frames views classes
    ===== ===== ====== ====== ===== ========
    1,020 464   20     1-201  3     10
    ===== ===== ====== ====== ===== ========

    Two sequences, ``a02_s09_e04_v02`` and ``a02_s09_e04_v03``, have a single frame.
    The data is for research and is not downloaded: ask its authors, or take the copy
    that CTR-GCN's page links to. All of it is read in a second and held in memory.

    Args:
        root (str or path): The archive, or a folder that holds it or the unpacked
            ``all_sqe`` folder.
        split (str, optional): :obj:`"train"` or :obj:`"test"`; :obj:`None` for the
            clips of all splits. (default: :obj:`"train"`)
        transform (callable, optional): Applied to a clip whenever it is read.

    Raises:
        FileNotFoundError: If there is no such archive.
        SkeletonDataError: If the archive is empty or damaged, or one of its files is
            not what it should be; the message names it.
    """

    def __init__(
        self,
        root: str | PathLike,
        split: str | None = 'train',
        transform: Callable[[SkeletonData], SkeletonData] | None = None,
    ) -> None:
        check_split(split, _SPLITS)
        reader = NWUCLAReader(_find(Path(root)))
        chosen = set(reader.names if split is None else reader.splits[split])
        if not chosen:
            of_split = (
                '' if split is None else f', none of them of the views that {split}'
            )
            raise SkeletonDataError(
                f"'{root}' holds {len(reader)} sequences{of_split}; expected files "
                f'like a01_s01_e00_v01.json'
            )
        clips = []
        for index, name in enumerate(reader.names):
            if name in chosen:
                sequence = reader[index]
                x = torch.from_numpy(sequence.keypoints)
                clips.append(SkeletonData(x, sequence.label, name))
        super().__init__(clips, skeleton('kinect-20'), reader.classes, transform)


def _find(root: Path) -> Path:
    """The archive or the folder of the sequences."""
    for path in (root / 'all_sqe', root / 'all_sqe.zip', root):
        if path.is_file() or (path.is_dir() and any(path.glob('a*_v*.json'))):
            return path
    raise FileNotFoundError(
        f"Found neither 'all_sqe.zip' nor JSON files in '{root}'. NW-UCLA is not "
        f'downloaded: put all_sqe.zip, as CTR-GCN distributes it, there'
    )
