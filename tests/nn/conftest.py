import pytest
import torch

DEVICES = ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']


@pytest.fixture(autouse=True, params=DEVICES)
def device(request):
    """All that a test makes is on it: where there is a GPU, each runs on both."""
    if request.param == 'cpu':
        yield torch.device('cpu')
        return
    with torch.device(request.param):
        yield torch.device(request.param)
