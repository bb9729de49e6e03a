"""Small layers with their graphs, and what tests of all of them share."""

import torch

from pyg_msg3d import MSG3D, Skeleton
from pyg_msg3d.graph import ScaleGraph, disentangle, factored_window, window_graph
from pyg_msg3d.nn import MSTCN, G3DConv, MSGCNConv
from pyg_msg3d.ops import use

V, K = 5, 3
BONES = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])  # Joint 4 is alone.
ARM = Skeleton('arm', ['a', 'b', 'c', 'd'], [(0, 1), (1, 2), (2, 3)])


def graph(window_size=1, dtype=torch.float64, factored=False):
    """Edges over a window, with weights that are all different."""
    if factored:
        edge_index, edge_type, weight = factored_window(
            BONES, V, num_scales=K, window_size=window_size
        )
    else:
        bones = window_graph(BONES, V, window_size)
        edge_index, edge_type, weight = disentangle(bones, window_size * V, K)
    return edge_index, edge_type, torch.rand_like(weight).to(dtype)


def scale_graph(edges, num_scales=K, num_sources=None, num_targets=None):
    """The same as one object."""
    sources, targets = (int(end.max()) + 1 for end in edges[0])
    return ScaleGraph.of(
        *edges,
        num_sources=num_sources or sources,
        num_targets=num_targets or targets,
        num_scales=num_scales,
    )


def matrix(edges, num_scales=K):
    """``[S', S K]``, column ``u K + k``: an entry for every edge, one by one."""
    (source, target), edge_type, weight = edges
    full = weight.new_zeros(int(target.max()) + 1, (int(source.max()) + 1) * num_scales)
    full[target, source * num_scales + edge_type] = weight
    return full


#: Every form in which a layer takes a graph.
FORMS = {
    'edges': lambda edges: edges,
    'matrix': lambda edges: (matrix(edges),),
    'ScaleGraph': lambda edges: (scale_graph(edges),),
    'sorted': lambda edges: (scale_graph(edges).sorted(),),
    'full': lambda edges: (scale_graph(edges).full(),),
    'csr': lambda edges: (matrix(edges).to_sparse_csr(),),
    'coo': lambda edges: (matrix(edges).to_sparse_coo(),),
    'csc': lambda edges: (matrix(edges).to_sparse_csc(),),
}


def features(channels, frames=6, clips=2):
    return torch.randn(clips, frames, V, channels, dtype=torch.float64)


def msgcn(channels=(6, 4), **kwargs):
    conv = MSGCNConv(*channels, num_scales=K, **kwargs).double()
    torch.nn.init.uniform_(conv.bias)
    return conv, graph(), features(channels[0])


def g3d(channels=(4, 6), **kwargs):
    kwargs = {'window_size': 3, **kwargs}
    conv = G3DConv(*channels, num_scales=K, **kwargs).double()
    torch.nn.init.uniform_(conv.bias)
    with torch.no_grad():
        for norm in (conv.norm, getattr(conv, 'embed_norm', None)):
            if norm is not None:
                scramble(norm.module)
    edges = graph(conv.window.size, factored=conv.factored)
    return conv, edges, features(channels[0])


def mstcn(channels=(6, 14), **kwargs):
    layer = MSTCN(*channels, **kwargs).double()
    for module in layer.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            scramble(module)
    return layer, (), features(channels[0], 7)


def scramble(norm):
    """A batch norm that does something in evaluation mode too."""
    torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
    torch.nn.init.normal_(norm.bias)
    torch.nn.init.normal_(norm.running_mean)
    torch.nn.init.uniform_(norm.running_var, 0.5, 1.5)


MSGCN = {
    'msgcn narrowing': (msgcn, {'channels': (6, 4)}),
    'msgcn widening': (msgcn, {'channels': (2, 4)}),
}
G3D = {
    'g3d': (g3d, {}),
    'g3d widening': (g3d, {'channels': (2, 6), 'hidden_channels': 5}),
    'g3d strided': (g3d, {'stride': 2, 'window_size': 5}),
    'g3d dilated': (g3d, {'dilation': 2}),
    'g3d embedded': (g3d, {'embed_factor': 2}),
    'g3d factored': (g3d, {'factored': True}),
    'g3d factored strided': (
        g3d, {'factored': True, 'stride': 2, 'dilation': 2, 'window_size': 5},
    ),
}  # fmt: skip
MSTCNS = {
    'mstcn': (mstcn, {}),
    'mstcn strided': (mstcn, {'stride': 2}),
    'mstcn identity': (mstcn, {'channels': (6, 6)}),
    'mstcn bare': (mstcn, {'residual': False, 'activation': False}),
}
CONVS = {**MSGCN, **G3D}
LAYERS = {**CONVS, **MSTCNS}


def make(case, **kwargs):
    """A layer, the graph that it takes, as arguments, and features."""
    function, arguments = LAYERS[case]
    return function(**{**arguments, **kwargs})


def small_model(residual='dense', **kwargs):
    """A model whose residuals and norms do something."""
    kwargs = {'channels': (6, 8), 'num_persons': 1, 'window_sizes': (3,), **kwargs}
    model = MSG3D(ARM, 3, gcn_scales=2, g3d_scales=2, residual=residual, **kwargs)
    for name, parameter in model.named_parameters():
        if name.endswith('adjacency.residual'):
            torch.nn.init.normal_(parameter, std=0.1)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            scramble(module)
    return model.double()


def clips(n=2, persons=1, frames=5):
    return torch.randn(n, persons, frames, 4, 3, dtype=torch.float64)


def by_definition(function, *args):
    """The same call by the paper's equations in plain torch, with running statistics
    left as they were."""
    buffers = statistics(function) if isinstance(function, torch.nn.Module) else {}
    with use('reference'):
        out = function(*args)
    if getattr(function, 'training', False):
        for name, value in function.named_buffers():
            value.data.copy_(buffers[name])
    return out


def statistics(module):
    """What a module counts: a copy of its buffers."""
    return {name: value.clone() for name, value in module.named_buffers()}
