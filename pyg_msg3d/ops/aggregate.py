import torch
from torch import Tensor

from pyg_msg3d.graph import ScaleGraph
from pyg_msg3d.ops.scale_sum import scale_sum
from pyg_msg3d.ops.window import Window


def aggregate(
    x: Tensor,
    source: Tensor,
    target: Tensor,
    weight: Tensor | None,
    num_targets: int,
    window: Window | None = None,
    backend: str = 'auto',
) -> Tensor:
    r"""Adds up weighted features along edges, in every frame or in every temporal
    window of a static graph:

    .. math::
        \mathbf{y}_i = \sum_{e : \, \mathrm{target}(e) = i}
        w_e \, \mathbf{x}_{\mathrm{source}(e)}.

    Over windows the sources are the :math:`S` rows of each of a window's
    :math:`\tau` frames: row :math:`j` of its frame :math:`t` is source
    :math:`t S + j`.

    Args:
        x (Tensor): The features.
        source (Tensor): The source of each edge.
        target (Tensor): The target of each edge.
        weight (Tensor, optional): The weight of each edge; one by default.
        num_targets (int): The number of targets :math:`S'`.
        window (Window, optional): The temporal window. (default: :obj:`None`)
        backend (str, optional): What adds up, see :func:`scale_sum`.
            (default: :obj:`"auto"`)

    Shapes:
        - **x:** :math:`(*, S, C)`, over windows :math:`(*, T, S, C)`
        - **source, target, weight:** :math:`(E)`
        - **output:** :math:`(*, S', C)`, over windows :math:`(*, T', S', C)`

    Raises:
        ValueError: If there is no such backend, or an edge refers to a node that there
            is not.
        RuntimeError: If the named backend cannot run on this input; the message
            says why.
    """
    graph = ScaleGraph.of(
        torch.stack([source, target]),
        edge_weight=weight,
        num_sources=x.size(-2) * (window.size if window else 1),
        num_targets=num_targets,
        dtype=x.dtype,
    )
    return scale_sum(x, None, graph, window, backend)
