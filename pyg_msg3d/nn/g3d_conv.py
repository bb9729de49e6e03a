from typing import Any

import torch
from torch import Tensor
from torch.nn import BatchNorm1d, Parameter
from torch_geometric.nn.dense.linear import Linear
from torch_geometric.nn.inits import zeros
from torch_geometric.typing import Adj, OptTensor

from pyg_msg3d.graph import ScaleGraph
from pyg_msg3d.nn.batch_norm import BatchNorm, check_count, normalise, track
from pyg_msg3d.nn.changed import is_changed, is_changed_norm
from pyg_msg3d.nn.leading import joined, parted
from pyg_msg3d.nn.multi_scale import MultiScaleMessagePassing
from pyg_msg3d.nn.scale_linear import ScaleLinear
from pyg_msg3d.ops import (
    Window,
    chosen,
    collapse,
    combine,
    joint_maps,
    policy,
    sum_windows,
    wants_definition,
)
from pyg_msg3d.ops.batched import sums_by_scale
from pyg_msg3d.ops.fused_collapse import fused_collapse, takes_maps, takes_parts
from pyg_msg3d.ops.slots import side_by_side


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

        edge_index, edge_type, edge_weight = disentangle(
            skeleton.edge_index, num_nodes=25, num_scales=6, window_size=3
        )
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
            :func:`pyg_msg3d.ops.scale_sum`. (default: :obj:`"auto"`)
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
        self.check_features(x, self.in_channels, self.window)
        if self.window.count(x.size(-3)) < 1:
            raise ValueError(
                f'Expected features of shape [*, frames, joints, channels] with at '
                f'least {self.window.span - 2 * self.window.padding} frames for '
                f'{self.window} (got {list(x.shape)})'
            )
        if self.training:
            check_count(x[..., 0].numel())
        if self.embed is not None:
            x = normalise(self.embed_norm, self.embed(x))
        num_joints, tau = x.size(-2), self.window.size
        sources, targets = (1, 2) if self.factored else (tau, tau)
        sizes = sources * num_joints, targets * num_joints
        graph = self.graph_of(x, edge_index, edge_type, edge_weight, *sizes)
        (x, lead), own, factored = joined(x, 3), None, self.factored
        maps = None
        if factored and self._takes_all_at_once(x, graph):
            graph, factored = graph.unfactored(tau), False
        if factored:
            h, own = self._in_factors(x, graph)
        else:
            # Messages are those of the entries in the order in which they were given.
            graph = graph if self.is_fused() else graph.edges()
            if self._maps_as_read(x, graph):
                self.lin.materialize(x)
                h = sums_by_scale(x, graph.to(x.dtype).full(), self.window)
                maps = side_by_side(self.lin.weight, self.num_scales)
            elif policy.is_batched(x):
                h = self.propagate(graph, x=x, window=self.window)
                h = h.unflatten(-2, (tau, -1)).transpose(-3, -2)
            else:
                # Targets (v, t) instead of (t, v), so that no result is transposed.
                h = self.propagate(graph.joints_first(tau), x=x, window=self.window)
                h = h.unflatten(-2, (-1, tau))
        return parted(self._collapse(h, own, maps), lead)

    def _in_factors(self, x: Tensor, graph: ScaleGraph) -> tuple[Tensor, Tensor]:
        """Equation (5) in two parts: what all frames of each window share
        ``[B, T', V, C]``, and what each frame has of its own ``[B, T, V, C]``."""
        if self.is_one_step() and self._maps_joints(x, graph):
            # Windows are summed up first, since there are fewer of them than frames;
            # and all scales of a joint by itself are one map.
            is_full = chosen(self.backend, x, graph) == 'dense'
            both, diagonal = (graph.full() if is_full else graph).factors()
            return (
                self.propagate(both, x=sum_windows(x, self.window)),
                joint_maps(x, self.lin.weight, diagonal),
            )
        shared, own = self.propagate(graph, x=x).chunk(2, -2)
        return sum_windows(shared, self.window), own

    def _takes_all_at_once(self, x: Tensor, graph: ScaleGraph) -> bool:
        """Whether one product over windows is cheaper than its factors: a GPU waits for
        memory, not for operations."""
        dense = chosen(self.backend, x, graph) == 'dense'
        is_whole = dense and self.is_fused() and policy.is_batched(x)
        return is_whole and not takes_parts(x)

    def _maps_joints(self, x: Tensor, graph: ScaleGraph) -> bool:
        backend = chosen(self.backend, x, graph)
        known = backend == 'dense' or (backend == 'triton' and policy.is_batched(x))
        if is_changed(self.lin, ScaleLinear) or not known:
            return False
        return policy.maps_joints(x.size(-1), self.num_scales, x.size(0) * x.size(1))

    def _maps_as_read(self, x: Tensor, graph: ScaleGraph) -> bool:
        """Whether sums are mapped where they are collapsed, and nowhere in memory:
        where there are few channels, and nobody looks at what is between."""
        return (
            policy.is_batched(x)
            and chosen(self.backend, x, graph) == 'dense'
            and not wants_definition()
            and self.is_one_step()
            and not is_changed(self.lin, ScaleLinear)
            and not self._is_collapse_changed()
            and takes_maps(x, self.num_scales * x.size(-1), self.hidden_channels)
        )

    def _is_collapse_changed(self) -> bool:
        return (
            is_changed(self.norm, BatchNorm)
            or is_changed_norm(self.norm.module, BatchNorm1d)
            or is_changed(self.collapse, Linear)
        )

    def _collapse(
        self, h: Tensor, own: Tensor | None, maps: Tensor | None = None
    ) -> Tensor:
        """Equation (6), from the sums of windows, or from their two parts, or before
        their maps."""
        if self._is_collapse_changed():
            h = h if own is None else combine(h, own, self.window)
            # In the type of the product, which autocast may have chosen.
            h = h if self.bias is None else h + self.bias.to(h.dtype)
            return self.collapse(normalise(self.norm, h).flatten(-2))
        norm = self.norm.module
        mean = None if norm.training else norm.running_mean
        variance = None if norm.training else norm.running_var
        window = None if own is None else self.window
        given: dict[str, Any] = {
            'bias': self.bias, 'gamma': norm.weight, 'beta': norm.bias,
            'weight': self.collapse.weight, 'shift': self.collapse.bias, 'mean': mean,
            'variance': variance, 'eps': norm.eps, 'window': window,
        }  # fmt: skip
        if maps is None:
            out, mean, variance = collapse(h, own, **given)
        else:
            given['window'] = self.window
            out, mean, variance = fused_collapse(h, maps, None, **given)
        if norm.training:
            count = h[..., 0].numel() * (1 if own is None else self.window.size)
            track(norm, mean, variance, count)
        return out

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}({self.in_channels}, {self.out_channels}, '
            f'num_scales={self.num_scales}, window_size={self.window.size}, '
            f'stride={self.window.stride}, dilation={self.window.dilation})'
        )
