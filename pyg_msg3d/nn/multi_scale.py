from typing import Any, ClassVar, Optional

import torch
from torch import Tensor
from torch_geometric.nn.aggr import SumAggregation
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.typing import Adj, OptTensor

from pyg_msg3d.graph import ScaleGraph
from pyg_msg3d.nn.changed import is_changed, is_changed_itself
from pyg_msg3d.nn.scale_linear import ScaleLinear
from pyg_msg3d.ops import Window, policy, scale_sum
from pyg_msg3d.ops.slots import to_slots

#: PyG's hooks that see single messages, or what becomes of them.
_WATCHING = [
    f'{step}_forward{when}'
    for step in ('propagate', 'message', 'aggregate')
    for when in ('', '_pre')
]


class MultiScaleMessagePassing(MessagePassing):
    r"""The sum over scales that MS-GCN and G3D share,

    .. math::
        \mathbf{y}_v = \sum_{k=0}^{K-1} \sum_{u} [\mathbf{A}_{(k)}]_{v,u} \,
        \mathbf{\Theta}_{(k)} \mathbf{x}_u,

    as one message passing. With :math:`K` slots per source, lifted features
    :math:`\mathbf{h}_{(u,k)} = \mathbf{\Theta}_{(k)} \mathbf{x}_u` travel along
    the bipartite edges :math:`(u, k) \to v`.

    :meth:`message_and_aggregate` does all of it at once. Message by message, by
    :meth:`message` and PyG's own aggregation, it is done where somebody looks at
    messages: with :attr:`explain`, with PyG's hooks, with :obj:`fuse = False`, with
    :obj:`backend='scatter'`, and in subclasses with a message of their own.

    The graph is given in any form that :meth:`ScaleGraph.of
    <pyg_msg3d.graph.ScaleGraph.of>` takes. In MS-G3D's terms :math:`V` is the number of
    joints, or of the joints in all frames of a temporal window.
    """

    propagate_type: ClassVar = {'x': Tensor, 'edge_weight': OptTensor}

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        num_scales: int,
        backend: str = 'auto',
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault('aggr', 'add')
        super().__init__(**kwargs)
        if num_scales < 1:
            raise ValueError(f"'num_scales' must be at least 1 (got {num_scales})")
        policy.check_backend(backend)
        if kwargs['aggr'] not in ('add', 'sum') or self.node_dim != -2:
            raise ValueError(
                f'{self.__class__.__name__} is a sum over the second-last dimension: '
                f"expected aggr='add' and node_dim=-2 (got aggr={kwargs['aggr']!r} "
                f'and node_dim={self.node_dim})'
            )
        if self.flow != 'source_to_target':
            raise ValueError(
                f"{self.__class__.__name__} expects flow='source_to_target' (got "
                f"'{self.flow}'); to reverse it, pass edge_index.flip(0)"
            )
        self.num_scales = num_scales
        self.backend = backend
        self.lin = ScaleLinear(in_channels, hidden_channels, num_scales)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # PyG replaces the method of a class that inherits it by a generated one, which
        # would pass by ours.
        if 'propagate' not in cls.__dict__:
            cls.propagate = cls.propagate  # type: ignore[method-assign]

    def propagate(  # type: ignore[override]
        self, graph: ScaleGraph, x: Tensor, window: Window | None = None
    ) -> Tensor:
        r"""The sum over scales: :math:`(*, V, C)` to :math:`(*, S', C')`, over
        windows :math:`(*, T, V, C)` to :math:`(*, T', S', C')`."""
        if self.is_fused():
            inputs: Any = (graph, {'x': x, 'window': window})
            for hook in self._message_and_aggregate_forward_pre_hooks.values():
                inputs = hook(self, inputs) or inputs
            out = self.message_and_aggregate(inputs[0], **inputs[1])
            for hook in self._message_and_aggregate_forward_hooks.values():
                found = hook(self, inputs, out)
                out = out if found is None else found
            return out
        # A full matrix has an edge for each of its entries.
        graph, h = graph.edges(), to_slots(self.lin(x), self.num_scales)
        mask = self._edge_mask if self.explain else None
        if mask is not None and mask.numel() != graph.weight.numel():
            raise ValueError(
                f'Expected a mask of the {graph.weight.numel()} edges of this '
                f"layer's own graph (got one of {mask.numel()}). Of a model, masks of "
                f'nodes can be explained, see pyg_msg3d.models.NodeView'
            )
        return super().propagate(
            torch.stack([graph.slot, graph.target]),
            x=h if window is None else window.unfold(h),
            edge_weight=graph.weight.to(h.dtype),
            size=(graph.num_sources * self.num_scales, graph.num_targets),
        )

    def is_fused(self) -> bool:
        """Whether nobody looks at messages, or has others in mind."""
        return (
            self.fuse
            and not self.explain
            and self.decomposed_layers == 1
            and self.backend != 'scatter'
            and all(self._is_own(name) for name in ('message', 'aggregate', 'update'))
            and not any(getattr(self, f'_{hooks}_hooks') for hooks in _WATCHING)
            and not is_changed_itself(self.aggr_module, SumAggregation)
        )

    def is_one_step(self) -> bool:
        """Whether, besides, nobody looks at :meth:`message_and_aggregate`."""
        return (
            self.is_fused()
            and self._is_own('message_and_aggregate')
            and not self._message_and_aggregate_forward_pre_hooks
            and not self._message_and_aggregate_forward_hooks
        )

    def _is_own(self, name: str) -> bool:
        """Whether a method is this class's, not one that somebody put in its place."""
        method = getattr(type(self), name)
        return name not in self.__dict__ and (
            method is getattr(MultiScaleMessagePassing, name)
        )

    def message_and_aggregate(
        self,
        graph: ScaleGraph,
        x: Tensor,
        window: Optional[Window] = None,  # noqa: UP045 (PyG reads this annotation)
    ) -> Tensor:
        """The same at once, see :func:`~pyg_msg3d.ops.scale_sum`."""
        if isinstance(self.lin, ScaleLinear):
            self.lin.materialize(x)
        if is_changed(self.lin, ScaleLinear):
            slots = to_slots(self.lin(x), self.num_scales)
            return scale_sum(slots, None, graph, window, self.backend)
        return scale_sum(x, self.lin.weight, graph, window, self.backend)

    def message(self, x_j: Tensor, edge_weight: Tensor) -> Tensor:
        return edge_weight.view(-1, 1) * x_j

    def graph_of(
        self,
        x: Tensor,
        edge_index: Adj | ScaleGraph,
        edge_type: OptTensor,
        edge_weight: OptTensor,
        num_sources: int,
        num_targets: int | None = None,
    ) -> ScaleGraph:
        """A graph in any form, checked."""
        graph = ScaleGraph.of(
            edge_index,
            edge_type,
            edge_weight,
            num_sources=num_sources,
            num_targets=num_targets,
            num_scales=self.num_scales,
            dtype=x.dtype,
        )
        # Features without values may go with any graph.
        return graph.to(x.device) if x.is_meta else graph

    def check_features(
        self, x: Tensor, channels: int, window: Window | None = None
    ) -> None:
        """Refuses features of other channels, or of too few dimensions.

        Raises:
            TypeError: If they are no real numbers.
            ValueError: If their shape does not fit.
        """
        axes = 'nodes, channels' if window is None else 'frames, nodes, channels'
        if not x.is_floating_point():
            raise TypeError(
                f'{self.__class__.__name__} expects features as real numbers (got '
                f'{x.dtype}); x.float() makes them so'
            )
        if x.dim() < (2 if window is None else 3) or channels not in (-1, x.size(-1)):
            shown = '' if channels == -1 else f' with {channels} channels'
            raise ValueError(
                f'{self.__class__.__name__} expects features [*, {axes}]{shown} (got '
                f'{list(x.shape)})'
            )
