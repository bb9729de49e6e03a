from pyg_msg3d.datasets.synthetic.dataset import SyntheticActions

__all__ = ['SyntheticActions']
