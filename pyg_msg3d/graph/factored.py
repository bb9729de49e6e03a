import torch
from torch import Tensor

from pyg_msg3d.graph.disentangle import disentangle, normalize


def factored_window(
    edge_index: Tensor,
    num_nodes: int,
    *,
    num_scales: int,
    window_size: int,
    normalization: str | None = 'sym',
) -> tuple[Tensor, Tensor, Tensor]:
    r"""The disentangled adjacency of a window of :math:`\tau` frames in two factors of
    the size of the skeleton.

    All frames of the window are tied to each other in the same way
    (:func:`window_graph`), so that the adjacency that :func:`disentangle` gives of it
    is

    .. math::
        \mathbf{\hat{A}}_{(\tau,k)} = \mathbf{1}_{\tau \times \tau} \otimes
        \mathbf{B}_{(k)} + \mathbf{I}_{\tau} \otimes \mathbf{D}_{(k)}

    with a :math:`\mathbf{B}_{(k)}` shared by all pairs of frames and a diagonal
    :math:`\mathbf{D}_{(k)}` within each frame: the self-loops of all scales but
    :math:`k = 1`, the scale at which a joint is tied to itself in the other frames.
    The first factor is aggregated once per frame or, where the frames of each window
    are summed up before, once per window, instead of :math:`\tau^2` times. Its time and
    memory do not depend on :math:`\tau`, and the window graph itself is never built.

    Args:
        edge_index (Tensor): The edges of the skeleton, in both directions.
        num_nodes (int): The number of joints :math:`V`.
        num_scales (int): The number of scales :math:`K`.
        window_size (int): The number of frames :math:`\tau`.
        normalization (str, optional): As in :func:`disentangle`.
            (default: :obj:`"sym"`)

    Returns:
        The edges :obj:`edge_index` :math:`(2, E)` from :math:`V` joints to
        :math:`2 V` targets, those of :math:`\mathbf{B}_{(k)}` and, :math:`V` further
        on, those of :math:`\mathbf{D}_{(k)}`; their scales :obj:`edge_type`
        :math:`(E)` and their weights :obj:`edge_weight` :math:`(E)`. That is what
        :class:`~pyg_msg3d.nn.G3DConv` takes with ``factored=True``.

    Raises:
        ValueError: As :func:`disentangle`.
    """
    if window_size < 1:
        raise ValueError(f"'window_size' must be at least 1 (got {window_size})")
    edges, scale, _ = disentangle(edge_index, num_nodes, num_scales, None)
    source, target = edges
    own = (source == target) & (scale != 1)
    frames = torch.where(own, 1, window_size)
    weight = normalize(source, target, scale, num_nodes, normalization, count=frames)
    return torch.stack([source, target + num_nodes * own]), scale, weight
