import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path

import torch

from pyg_msg3d.data import SkeletonData, SkeletonDataError, check_finite
from pyg_msg3d.datasets.in_memory import InMemorySkeletonDataset
from pyg_msg3d.skeletons import skeleton

_CLASSES = (
    'pick up with one hand',
    'pick up with two hands',
    'drop trash',
    'walk around',
    'sit down',
    'stand up',
    'donning',
    'doffing',
    'throw',
    'carry',
)
_NAME = re.compile(r'a(\d+)_s(\d+)_e(\d+)_v(\d+)\.json')
_VIEWS = {'train': (1, 2), 'test': (3,)}


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
    that CTR-GCN's page links to.

    Args:
        root (str or path): The archive, or a folder that holds it or the unpacked
            ``all_sqe`` folder.
        split (str, optional): :obj:`"train"` or :obj:`"test"`.
            (default: :obj:`"train"`)
        transform (callable, optional): Applied to a clip whenever it is read.

    Raises:
        FileNotFoundError: If there is no such archive.
        SkeletonDataError: If the archive is empty or damaged, or one of its files is
            not what it should be; the message names it.
    """

    def __init__(
        self,
        root: str | PathLike,
        split: str = 'train',
        transform: Callable[[SkeletonData], SkeletonData] | None = None,
    ) -> None:
        if split not in _VIEWS:
            raise ValueError(f"'split' must be 'train' or 'test' (got {split!r})")
        clips, seen = [], 0
        for name, content in _files(Path(root)):
            match = _NAME.fullmatch(name)
            if match is None:
                continue
            seen += 1
            if int(match[4]) in _VIEWS[split]:
                clips.append(_read(name, content))
        if not clips:
            raise SkeletonDataError(
                f"'{root}' holds {seen} sequences, none of them of the views "
                f'{_VIEWS[split]} that {split}; expected files like '
                f'a01_s01_e00_v01.json'
            )
        super().__init__(clips, skeleton('kinect-20'), _CLASSES, transform)


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    """The names and contents of the files, sorted."""
    folder = root / 'all_sqe' if (root / 'all_sqe').is_dir() else root
    archive = root / 'all_sqe.zip' if root.is_dir() else root
    if archive.is_file():
        try:
            with zipfile.ZipFile(archive) as file:
                for member in sorted(file.namelist()):
                    yield Path(member).name, file.read(member)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise SkeletonDataError(
                f"'{archive}' is no zip archive, or an incomplete one ({error}); "
                f'{archive.stat().st_size} bytes. Fetch it again'
            ) from error
    elif any(folder.glob('a*_v*.json')):
        for path in sorted(folder.glob('*.json')):
            yield path.name, path.read_bytes()
    else:
        raise FileNotFoundError(
            f"Found neither '{archive}' nor JSON files in '{folder}'. NW-UCLA is not "
            f'downloaded: put all_sqe.zip, as CTR-GCN distributes it, there'
        )


def _read(name: str, content: bytes) -> SkeletonData:
    try:
        record = json.loads(content)
        x = torch.tensor(record['skeletons'], dtype=torch.float)
        label = int(record['label'])
    except (ValueError, TypeError, KeyError) as error:
        raise SkeletonDataError(
            f"'{name}' is not a sequence of NW-UCLA: expected JSON with 'skeletons', "
            f"an array [frames, 20, 3], and 'label' ({type(error).__name__}: {error})"
        ) from error
    if x.dim() != 3 or x.size(0) < 1 or x.shape[1:] != (20, 3):
        raise SkeletonDataError(
            f"'{name}': expected 'skeletons' of shape [frames, 20 joints, 3] with at "
            f'least one frame (got {list(x.shape)})'
        )
    if not 1 <= label <= len(_CLASSES):
        raise SkeletonDataError(
            f"'{name}': 'label' must be 1 to {len(_CLASSES)} (got {label})"
        )
    x = x.unsqueeze(0)
    check_finite(x, name)
    return SkeletonData(x=x, y=label - 1, name=name.removesuffix('.json'))
