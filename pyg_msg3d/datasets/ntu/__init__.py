from pyg_msg3d.datasets.ntu.dataset import NTU60, NTU120

__all__ = ['NTU60', 'NTU120']
