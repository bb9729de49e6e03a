from pyg_msg3d.graph.disentangle import disentangle
from pyg_msg3d.graph.factored import factored_window
from pyg_msg3d.graph.powers import adjacency_powers
from pyg_msg3d.graph.scale_graph import ScaleGraph
from pyg_msg3d.graph.window import window_graph

__all__ = [
    'ScaleGraph',
    'adjacency_powers',
    'disentangle',
    'factored_window',
    'window_graph',
]
