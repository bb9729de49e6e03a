from dataclasses import dataclass, fields
from typing import Literal

from pyg_msg3d.described import described
from pyg_msg3d.models.msg3d import MSG3D
from pyg_msg3d.skeletons import Skeleton


@dataclass(frozen=True)
class Architecture:
    """What of :class:`MSG3D` does not follow from the data; see there."""

    gcn_scales: int = described(13, 'scales of the MS-GCNs')
    g3d_scales: int = described(6, 'scales of the G3Ds')
    window_sizes: tuple[int, ...] = described((3, 5), 'frames of each G3D window')
    window_dilations: tuple[int, ...] = described((), 'their dilations; ones')
    channels: tuple[int, ...] = described((96, 192, 384), 'width of each block')
    residual: Literal['dense', 'tied', 'none'] = described(
        'dense', 'what is learned on top of the graph'
    )
    normalization: Literal['sym', 'col'] = described('sym', 'of adjacencies')
    dropout: float = described(0.0, 'before the classifier')
    pooling: Literal['mean', 'present'] = described(
        'mean', 'over which persons; present: without those who are absent'
    )

    def build(
        self,
        skeleton: str | Skeleton,
        num_classes: int,
        in_channels: int = 3,
        num_persons: int = 2,
    ) -> MSG3D:
        """A model for such data, with new weights."""
        return MSG3D(
            skeleton,
            num_classes,
            in_channels,
            num_persons,
            **{
                **{f.name: getattr(self, f.name) for f in fields(self)},
                'window_dilations': self.window_dilations or None,
                'residual': None if self.residual == 'none' else self.residual,
            },
        )
