from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.utils.checkpoint import checkpoint
from torch_geometric.nn.dense.linear import Linear
from torch_geometric.nn.inits import zeros
from torch_geometric.typing import Adj, OptTensor

from pyg_msg3d.nn.batch_norm import BatchNorm, is_local, normalise, track
from pyg_msg3d.nn.multi_scale import MultiScaleMessagePassing, is_full_matrix
from pyg_msg3d.ops import (
    ScaleGraph,
    Window,
    collapse_windows,
    combine,
    linear,
    sum_windows,
    window_moments,
)


class G3DConv(MultiScaleMessagePassing):
    r"""The unified spatial-temporal graph convolution (G3D) of the `"Disentangling
    and Unifying Graph Convolutions for Skeleton-Based Action Recognition"
    <https://arxiv.org/abs/2003.14111>`_ paper, equations (5) and (6).

    A window of :math:`\tau` frames is one graph of :math:`\tau V` nodes, node
    :math:`t V + v`. Over every window :math:`w` a multi-scale graph convolution,
    batch normalisation and ReLU give hidden features, and one linear map collapses
    the :math:`\tau` frames into one:

    .. math::
        \mathbf{h}_{w,t,v} &= \mathrm{ReLU} \bigg( \mathrm{BN} \Big( \sum_{k=0}^{K-1}
        \sum_{t',u} [\mathbf{\hat{A}}_{(\tau,k)}]_{tV+v,\,t'V+u} \,
        \mathbf{\Theta}_{(k)} \mathbf{x}_{w s + t' d - p,\,u} + \mathbf{b} \Big)
        \bigg), \\
        \mathbf{x}^{\prime}_{w,v} &= \sum_{t=0}^{\tau-1}
        \mathbf{\Phi}_t \, \mathbf{h}_{w,t,v} + \mathbf{c},

    for stride :math:`s`, dilation :math:`d` and :math:`p = \lfloor (\tau - 1) d / 2
    \rfloor` zero frames at each end of a clip. The maps :math:`\mathbf{\Theta}_{(k)}`
    are applied once per frame, not once per window.

    .. code-block:: python

        bones = window_graph(skeleton.edge_index, 25, window_size=3)
        edge_index, edge_type, edge_weight = disentangle(bones, 3 * 25, num_scales=6)
        conv = G3DConv(96, 192, num_scales=6, window_size=3, stride=2)
        out = conv(x, edge_index, edge_type, edge_weight)
        # [*, 100, 25, 96] -> [*, 50, 25, 192]

    Args:
        in_channels (int): Channels of each joint; :obj:`-1` reads them off the
            first input.
        out_channels (int): Channels of each joint in the result.
        num_scales (int): The number of scales :math:`K`.
        window_size (int): The frames :math:`\tau` of a window.
        stride (int, optional): The frames :math:`s` from one window to the next.
            (default: :obj:`1`)
        dilation (int, optional): The frames :math:`d` between two neighbouring
            frames of a window. (default: :obj:`1`)
        hidden_channels (int, optional): Channels of :math:`\mathbf{h}`. By default
            :obj:`in_channels`, or with an embedding its width. The published models
            take :obj:`out_channels` where the input is raw coordinates.
        embed_factor (int, optional): If above 1, a linear map, batch normalisation
            and ReLU first embed the input in ``out_channels // embed_factor``
            channels. (default: :obj:`1`)
        bias (bool, optional): Learn the biases :math:`\mathbf{b}` and
            :math:`\mathbf{c}`. (default: :obj:`True`)
        factored (bool, optional): The graph comes in two factors, as
            :func:`~pyg_msg3d.graph.factored_window` gives it: edges from :math:`V`
            joints to :math:`2 V` targets, or a matrix :math:`(2 V, V K)`, the second
            half of it diagonal at each scale. The same result with less than
            :math:`1 / \tau` of the aggregation.
            (default: :obj:`False`)
        backend (str, optional): How messages are added up, see
            :func:`pyg_msg3d.ops.aggregate`. (default: :obj:`"auto"`)
        **kwargs (optional): Additional arguments of
            :class:`torch_geometric.nn.conv.MessagePassing`.

    Shapes:
        - **input:** node features :math:`(*, T, V, C_{in})`; edge indices
          :math:`(2, E)` over the :math:`\tau V` nodes of a window, edge types
          :math:`(E)` and edge weights :math:`(E)`, or instead of the three a sparse
          or dense matrix :math:`(\tau V, \tau V K)`
        - **output:** node features :math:`(*, T', V, C_{out})`,
          :math:`T' = \lfloor (T + 2 p - (\tau - 1) d - 1) / s \rfloor + 1`

    Raises:
        ValueError: If the parts of the graph do not fit each other, the features or
            the number of scales, or no window fits into a clip.
        TypeError: If features or weights are no real numbers, or indices are.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_scales: int,
        window_size: int,
        stride: int = 1,
        dilation: int = 1,
        hidden_channels: int | None = None,
        embed_factor: int = 1,
        bias: bool = True,
        factored: bool = False,
        backend: str = 'auto',
        **kwargs: Any,
    ) -> None:
        for name, value in (
            ('window_size', window_size),
            ('stride', stride),
            ('dilation', dilation),
            ('embed_factor', embed_factor),
        ):
            if value < 1:
                raise ValueError(f"'{name}' must be at least 1 (got {value})")
        embedded = out_channels // embed_factor if embed_factor > 1 else in_channels
        hidden_channels = embedded if hidden_channels is None else hidden_channels
        if hidden_channels < 1:
            raise ValueError(
                "With in_channels=-1, 'hidden_channels' must be given: it cannot be "
                'read off the first input'
            )
        super().__init__(embedded, hidden_channels, num_scales, backend, **kwargs)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.hidden_channels = hidden_channels
        self.window = Window(window_size, stride, dilation)
        self.factored = factored

        self.embed = None
        if embed_factor > 1:
            self.embed = Linear(in_channels, embedded)
            self.embed_norm = BatchNorm(embedded)
        if bias:
            self.bias = Parameter(torch.empty(hidden_channels))
        else:
            self.register_parameter('bias', None)
        self.norm = BatchNorm(hidden_channels)
        self.collapse = Linear(window_size * hidden_channels, out_channels, bias=bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all learned parameters anew."""
        super().reset_parameters()
        if self.embed is not None:
            self.embed.reset_parameters()
            self.embed_norm.reset_parameters()
        self.lin.reset_parameters()
        zeros(self.bias)
        self.norm.reset_parameters()
        self.collapse.reset_parameters()

    def forward(
        self,
        x: Tensor,
        edge_index: Adj | ScaleGraph,
        edge_type: OptTensor = None,
        edge_weight: OptTensor = None,
    ) -> Tensor:
        """Runs the convolution; shapes as above."""
        self._check_features(x, self.in_channels, self.window)
        if self.window.count(x.size(-3)) < 1:
            raise ValueError(
                f'Expected features of shape [*, frames, joints, channels] with at '
                f'least {self.window.span - 2 * self.window.padding} frames for '
                f'{self.window} (got {list(x.shape)})'
            )
        if self.embed is not None:
            x = normalise(self.embed_norm, self.embed(x))
        lead, tau, num_joints = x.shape[:-3], self.window.size, x.size(-2)
        x, own = x.reshape(-1, *x.shape[-3:]), None
        if self.factored:
            h, own = self._in_factors(x, edge_index, edge_type, edge_weight)
        elif is_full_matrix(edge_index) and edge_index.size(0) == tau * num_joints:
            # Targets (v, t) instead of (t, v), so that no result is transposed.
            edge_index = edge_index.unflatten(0, (tau, -1)).transpose(0, 1)
            h = self.multi_scale(x, edge_index.flatten(0, 1), window=self.window)
            h = h.unflatten(-2, (-1, tau))
        else:
            h = self.multi_scale(x, edge_index, edge_type, edge_weight, self.window)
            h = h.unflatten(-2, (tau, -1)).transpose(-3, -2).contiguous()
        out = self._collapse(h, own)
        return out.view(*lead, *out.shape[1:])

    def _in_factors(
        self,
        x: Tensor,
        edge_index: Adj | ScaleGraph,
        edge_type: OptTensor,
        edge_weight: OptTensor,
    ) -> tuple[Tensor, Tensor]:
        """Equation (5) in two parts: what all frames of each window share
        ``[B, T', V, C]``, and what each frame has of its own ``[B, T, V, C]``."""
        num_joints, k = x.size(-2), self.num_scales
        # Joints have maps of their own where these are no larger than the K slots of
        # all frames would be.
        num_slots = k * x.size(0) * x.size(1)
        if is_full_matrix(edge_index) and x.size(-1) <= num_slots:
            self._check_matrix(edge_index, num_joints, 2 * num_joints)
            self.lin.materialize(x)
            full, own = edge_index.chunk(2)
            # Windows are summed up first, since there are fewer of them than frames;
            # and all scales of a joint by itself are one map.
            shared = self.multi_scale(sum_windows(x, self.window), full)
            own = own.unflatten(1, (num_joints, k)).diagonal()
            weight = self.lin.weight.unflatten(0, (k, -1))
            # The maps of all joints are not kept: many times the size of the weights.
            own = checkpoint(
                _map_joints, x, weight, own,
                use_reentrant=False, preserve_rng_state=False,
            )  # fmt: skip
            return shared, own
        h = self.multi_scale(
            x, edge_index, edge_type, edge_weight, num_targets=2 * num_joints
        )
        shared, own = h.chunk(2, -2)
        return sum_windows(shared, self.window), own

    def _collapse(self, h: Tensor, own: Tensor | None) -> Tensor:
        """Equation (6), from the sums of windows, or from their two parts."""
        window = None if own is None else self.window
        norm, weight, bias = self.norm.module, self.collapse.weight, self.collapse.bias
        if not is_local(norm):
            # Statistics over all processes are torch's affair.
            h = h if own is None else combine(h, own, self.window)
            # In the type of the product, which autocast may have chosen.
            h = h if self.bias is None else h + self.bias.to(h.dtype)
            return linear(normalise(self.norm, h).flatten(-2), weight, bias)
        # The bias comes before a normalisation: it moves the mean that is subtracted.
        if norm.training:
            mean, variance = window_moments(h, own, window)
            clips, windows, num_joints = h.shape[:3]
            count = clips * windows * num_joints * self.window.size
            if self.bias is not None:
                # No gradient but zero, which optimisers and processes still wait for.
                mean = mean + (self.bias - self.bias.detach())
            shifted = mean if self.bias is None else mean + self.bias
            track(norm, shifted, variance, count)
        else:
            mean, variance = norm.running_mean, norm.running_var
            mean = mean if self.bias is None else mean - self.bias
        return collapse_windows(
            h,
            mean,
            variance,
            norm.eps,
            norm.weight,
            norm.bias,
            weight,
            bias,
            own,
            window,
            norm.training,
        )

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}({self.in_channels}, {self.out_channels}, '
            f'num_scales={self.num_scales}, window_size={self.window.size}, '
            f'stride={self.window.stride}, dilation={self.window.dilation})'
        )


def _map_joints(x: Tensor, weight: Tensor, own: Tensor) -> Tensor:
    """The maps ``[K, C', C]``, weighted for each joint by ``[K, V]`` and added up,
    applied to the features of that joint."""
    # Not one wide product, for which BLAS libraries keep much memory.
    maps = torch.matmul(own.t(), weight.transpose(0, 1))
    return torch.einsum('btvc,ovc->btvo', x, maps)
