from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.nn import Dropout, Linear, ModuleList
from torch_geometric.data import Data

from pyg_msg3d.models.saved import SavedModel
from pyg_msg3d.nn import BatchNorm, STGCBlock, fuse
from pyg_msg3d.ops import policy, wants_definition
from pyg_msg3d.skeletons import Skeleton, skeleton


class MSG3D(SavedModel):
    r"""MS-G3D, the skeleton action classifier of the `"Disentangling and Unifying
    Graph Convolutions for Skeleton-Based Action Recognition"
    <https://arxiv.org/abs/2003.14111>`_ paper: batch normalisation over (person,
    joint, channel), spatial-temporal blocks of strides 1, 2, 2, ..., the mean over
    joints and frames, then over persons, and a linear classifier.

    .. code-block:: python

        model = MSG3D('ntu-rgb+d', num_classes=60)
        logits = model(x)  # [clips, persons, frames, 25, 3] -> [clips, 60]

    Args:
        skeleton (str or Skeleton): The skeleton, or the name of one in
            :func:`pyg_msg3d.skeletons.skeleton`.
        num_classes (int): The number of classes.
        in_channels (int, optional): Channels of a joint: 3 for coordinates, or for
            2D key points with their scores. (default: :obj:`3`)
        num_persons (int, optional): Persons per clip, absent ones zero.
            (default: :obj:`2`)
        gcn_scales (int, optional): Scales of the MS-GCNs. (default: :obj:`13`)
        g3d_scales (int, optional): Scales of the G3Ds. (default: :obj:`6`)
        window_sizes (sequence of int, optional): The frames of each G3D pathway's
            window. (default: :obj:`(3, 5)`)
        window_dilations (sequence of int, optional): Their dilations; ones by
            default.
        channels (sequence of int, optional): The width of each block.
            (default: :obj:`(96, 192, 384)`)
        residual (str, optional): What is learned on top of the graph:
            :obj:`"dense"`: every entry of every scale, as in the paper.
            :obj:`"tied"`: the same, but one :math:`V \times V` matrix per scale serves
            every pair of frames of a window. :obj:`None`: nothing. With the latter two
            a window costs no more than its frames, see
            :func:`pyg_msg3d.graph.factored_window`. (default: :obj:`"dense"`)
        normalization (str, optional): :obj:`"sym"` (the paper) or :obj:`"col"`
            (MMAction2, PYSKL), see :func:`pyg_msg3d.graph.disentangle`.
            (default: :obj:`"sym"`)
        dropout (float, optional): Dropout before the classifier.
            (default: :obj:`0.`)
        pooling (str, optional): The mean over which persons: :obj:`"mean"`: all, absent
            ones too, as in the paper. :obj:`"present"`: those of whom a joint is not
            zero. (default: :obj:`"mean"`)
        backend (str, optional): What adds messages up, see
            :func:`pyg_msg3d.ops.scale_sum`. (default: :obj:`"auto"`)

    Attributes:
        metadata (Metadata): The names of the classes, and how clips are made of
            recordings, where a training or a checkpoint has told.
        transfer (Transfer or None): What :meth:`from_checkpoint` kept and drew anew.

    Shapes:
        - **input:** :math:`(N, M, T, V, C)`: clips, persons, frames, joints,
          channels; or a PyG batch of such clips, or one
          :class:`~pyg_msg3d.data.SkeletonData`
        - **output:** :math:`(N, \mathrm{num\_classes})`

    Raises:
        ValueError: If an argument, or the shape of an input, does not fit.
    """

    def __init__(
        self,
        skeleton: str | Skeleton,
        num_classes: int,
        in_channels: int = 3,
        num_persons: int = 2,
        gcn_scales: int = 13,
        g3d_scales: int = 6,
        window_sizes: Sequence[int] = (3, 5),
        window_dilations: Sequence[int] | None = None,
        channels: Sequence[int] = (96, 192, 384),
        residual: str | None = 'dense',
        normalization: str = 'sym',
        dropout: float = 0.0,
        pooling: str = 'mean',
        backend: str = 'auto',
    ) -> None:
        super().__init__()
        self.skeleton = _look_up(skeleton)
        self.is_fused = False
        self._num_frozen = 0
        self.pooling = pooling
        self.in_channels = in_channels
        self.num_persons = num_persons
        if window_dilations is None:
            window_dilations = (1,) * len(window_sizes)
        _check_arguments(locals())
        self._arguments: dict[str, Any] = {
            'in_channels': in_channels,
            'num_persons': num_persons,
            'gcn_scales': gcn_scales,
            'g3d_scales': g3d_scales,
            'window_sizes': list(window_sizes),
            'window_dilations': list(window_dilations),
            'channels': list(channels),
            'residual': residual,
            'normalization': normalization,
        }

        num_joints = self.skeleton.num_joints
        with torch.device('cpu'):
            # Even where the model itself is on no device: bones are known.
            bones = self.skeleton.edge_index
        self.data_norm = BatchNorm(num_persons * num_joints * in_channels)
        self.blocks = ModuleList()
        for i, width in enumerate(channels):
            self.blocks.append(
                STGCBlock(
                    in_channels if i == 0 else channels[i - 1],
                    # A stride goes with wider features, both from the first
                    # MS-TCN on: a later MS-GCN keeps the width of its input.
                    width if i == 0 else channels[i - 1],
                    width,
                    bones,
                    num_joints,
                    gcn_scales,
                    g3d_scales,
                    window_sizes,
                    window_dilations,
                    stride=1 if i == 0 else 2,
                    # Raw coordinates are too few to be a hidden width.
                    hidden_channels=width if i == 0 else None,
                    normalization=normalization,
                    residual=residual,
                    backend=backend,
                )
            )
        self.dropout = Dropout(dropout)
        self.classifier = Linear(channels[-1], num_classes)

    @property
    def num_classes(self) -> int:
        """The number of classes: that of the classifier as it is."""
        return self.classifier.out_features

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that make this model as it is, as plain values."""
        return {
            'skeleton': self.skeleton.arguments(),
            'num_classes': self.num_classes,
            **self._arguments,
            'dropout': self.dropout.p,
            'pooling': self.pooling,
        }

    def fused(self) -> 'MSG3D':
        """A copy for inference alone that gives the same logits, faster: batch norms
        are folded into the maps around them, and the graphs computed once. Its weights
        are those of now; it cannot be trained or saved."""
        copy = deepcopy(self).eval().requires_grad_(False)
        copy.blocks = ModuleList(fuse(block) for block in copy.blocks)
        copy.is_fused = True
        return copy

    def train(self, mode: bool = True) -> 'MSG3D':
        """Changes to training or evaluation mode."""
        if mode and self.is_fused:
            raise RuntimeError(
                'A fused model is for inference alone; train the model that it was '
                'made of'
            )
        super().train(mode)
        for block in self.blocks[: self._num_frozen]:
            block.eval()  # Their statistics stay, too.
        return self

    def freeze(self, num_blocks: int | None = None) -> 'MSG3D':
        """Keeps the first blocks as they are in training, weights and statistics; by
        default all blocks, so that the classifier alone is learned.

        Raises:
            ValueError: If there are not so many.
        """
        count = len(self.blocks) if num_blocks is None else num_blocks
        if not 0 <= count <= len(self.blocks):
            raise ValueError(
                f'Expected from 0 to {len(self.blocks)} blocks to freeze (got {count})'
            )
        self._num_frozen = count
        for number, block in enumerate(self.blocks):
            block.requires_grad_(number >= count)
        return self.train(self.training)

    def reset_parameters(self) -> None:
        """Draws all learned parameters anew."""
        for module in self.modules():
            reset = getattr(module, 'reset_parameters', None)
            if module is not self and reset is not None:
                reset()

    def forward(self, x: Tensor | Data) -> Tensor:
        """Classifies clips; shapes as above."""
        return self.classifier(self.dropout(self.features(x)))

    def features(self, x: Tensor | Data) -> Tensor:
        r"""What the classifier sees: an embedding of each clip
        :math:`(N, C^{\prime})`, for clips as :meth:`forward` takes them."""
        x = self._clips(x)
        n, m, t, v, c = x.shape
        present = (x != 0).flatten(2).any(2) if self.pooling == 'present' else None
        # [N, M, T, V, C] -> [N, T, M V C] and back: each (person, joint, channel)
        # is normalised over clips and frames.
        x = self.data_norm(x.transpose(1, 2).reshape(n, t, m * v * c))
        x = x.view(n, t, m, v, c).transpose(1, 2).reshape(n * m, t, v, c)
        out = self._through_blocks(x).unflatten(0, (n, m))
        if present is None:
            return out.mean(dim=1)
        # A clip without anybody is all persons' mean, as it would be otherwise.
        weight = (present | ~present.any(1, keepdim=True)).to(out.dtype).unsqueeze(-1)
        return (out * weight).sum(dim=1) / weight.sum(dim=1)

    def _through_blocks(self, x: Tensor) -> Tensor:
        """``[B, T, V, C]`` to the features of a person in a clip ``[B, C']``."""
        inference = not (self.training or torch.is_grad_enabled())
        seen = torch.compiler.is_compiling() or wants_definition()
        if x.device.type == 'cpu' and inference and not seen:
            size = policy.clips_at_a_time(x, self.arguments['channels'][0])
            if size < x.size(0):
                parts = [self._through_blocks(part) for part in x.split(size)]
                return torch.cat(parts)
        for block in self.blocks:
            x = block(x)
        return x.mean(dim=(1, 2))

    def _clips(self, x: Tensor | Data) -> Tensor:
        """The clips of a PyG batch, or of one clip alone, or as they are; checked."""
        if not isinstance(x, Tensor):
            x = x.x if x.x.dim() == 5 else x.x.unsqueeze(0)
        joints, channels = self.skeleton.num_joints, self.in_channels
        expected = (self.num_persons, joints, channels)
        wanted = (
            f'clips of shape [clips, {expected[0]} persons, frames, {joints} joints of '
            f'{self.skeleton.name!r}, {channels} channels]'
        )
        if x.dim() != 5 or (x.size(1), x.size(3), x.size(4)) != expected:
            hint = ''
            if x.dim() == 5 and x.size(2) == joints != x.size(3):
                hint = ': frames and joints look swapped, x.transpose(2, 3) mends that'
            elif x.dim() == 5 and (x.size(1), x.size(3)) == (channels, joints):
                hint = (
                    ": that is the authors' layout [clips, channels, frames, joints, "
                    'persons], x.permute(0, 4, 2, 3, 1) makes it ours'
                )
            elif x.dim() == 4 and (x.size(2), x.size(3)) == expected[1:]:
                hint = ': one dimension is missing; x.unsqueeze(0) is one clip'
            raise ValueError(f'Expected {wanted} (got {list(x.shape)}){hint}')
        if not x.is_floating_point():
            raise TypeError(
                f'Expected {wanted} as real numbers (got {x.dtype}); x.float() makes '
                f'them so'
            )
        if x.size(2) == 0:
            raise ValueError(f'Expected {wanted} of at least one frame (got none)')
        if x.size(0) == 0 and self.training:
            raise ValueError(
                'Expected at least one clip in training, whose statistics '
                'normalise it (got none)'
            )
        return x

    def extra_repr(self) -> str:
        """What a printed model says of it."""
        return f'{self.skeleton}, num_classes={self.num_classes}'


# ``skeleton`` is an argument's name inside the class.
_look_up = skeleton


def _check_arguments(arguments: dict[str, Any]) -> None:
    for name in ('num_classes', 'in_channels', 'num_persons'):
        if arguments[name] < 1:
            raise ValueError(f"'{name}' must be at least 1 (got {arguments[name]})")
    if arguments['pooling'] not in ('mean', 'present'):
        raise ValueError(
            f"'pooling' must be 'mean' or 'present' (got {arguments['pooling']!r})"
        )
    sizes, dilations = arguments['window_sizes'], arguments['window_dilations']
    if len(sizes) != len(dilations):
        raise ValueError(
            f"Expected one of 'window_dilations' for each of 'window_sizes' (got "
            f'{len(dilations)} for {len(sizes)})'
        )
    for size, dilation in zip(sizes, dilations, strict=True):
        if (size - 1) * dilation % 2:
            raise ValueError(
                f"A window of 'window_sizes' must be centred on a frame, so that its "
                f'pathway fits the others: (size - 1) * dilation must be even (got '
                f'size {size} and dilation {dilation})'
            )
    if len(arguments['channels']) < 1:
        raise ValueError("'channels' needs the width of at least one block (got none)")
