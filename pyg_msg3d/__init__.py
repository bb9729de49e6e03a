from typing import TYPE_CHECKING, Any

from pyg_msg3d.models import MSG3D
from pyg_msg3d.skeletons import Skeleton, skeleton, skeleton_names

if TYPE_CHECKING:
    from pyg_msg3d.inference import Predictor

__version__ = '0.1.0'

__all__ = ['MSG3D', 'Predictor', 'Skeleton', 'skeleton', 'skeleton_names']


def __getattr__(name: str) -> Any:
    # Who builds models needs no readers of files.
    if name == 'Predictor':
        from pyg_msg3d.inference import Predictor

        return Predictor
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
