from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn import Module
from torch_geometric.nn.conv import MessagePassing


class NodeView(Module):
    r"""A layer or a model as PyG's explainers take it: with features of nodes
    :math:`(V, F)`, which are those of each joint in all clips, persons and frames.

    .. code-block:: python

        view = NodeView(model, x.shape[:-2])  # x: [N, M, T, V, C]
        explainer = Explainer(view, GNNExplainer(), explanation_type='model',
                              node_mask_type='object', model_config=ModelConfig(
                                  'multiclass_classification', 'graph', 'raw'))
        explanation = explainer(view.nodes(x), skeleton('ntu-rgb+d').edge_index)
        explanation.node_mask  # [joints, 1]: how much each counts

    Layers take the edges that explainers pass, and masks of these. A model has graphs
    of its own, one for each layer, so that a mask of edges fits none of them; masks of
    nodes explain it.

    Args:
        module (Module): What takes :math:`(*, V, C)`.
        lead (sequence of int): The leading dimensions :math:`*`.
    """

    def __init__(self, module: Module, lead: Sequence[int]) -> None:
        super().__init__()
        self.module, self.lead = module, tuple(lead)

    def nodes(self, x: Tensor) -> Tensor:
        """:math:`(*, V, C)` to :math:`(V, F)`."""
        return x.movedim(-2, 0).flatten(1)

    def forward(self, x: Tensor, edge_index: Tensor, **kwargs: Any) -> Tensor:
        """What the module gives, of nodes :math:`(V, F')` if it is a layer."""
        x = x.unflatten(1, (*self.lead, -1)).movedim(0, -2)
        if isinstance(self.module, MessagePassing):
            return self.nodes(self.module(x, edge_index, **kwargs))
        return self.module(x)
