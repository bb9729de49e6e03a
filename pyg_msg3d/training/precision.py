"""Computing in fewer bits."""

import torch
from torch.amp.grad_scaler import GradScaler

_DTYPES = {'float32': None, 'bf16': torch.bfloat16, 'fp16': torch.float16}


def resolved(name: str, device: torch.device) -> str:
    """What :obj:`"auto"` stands for on a device."""
    if name != 'auto':
        return name
    if device.type != 'cuda':
        return 'float32'
    has_it = torch.cuda.is_bf16_supported(including_emulation=False)
    return 'bf16' if has_it else 'float32'


def tf32(device: torch.device) -> str | None:
    """Which products in float32 a GPU computes in TF32, as torch is set."""
    if device.type != 'cuda':
        return None
    kinds = {
        'matrices': torch.backends.cuda.matmul.allow_tf32,
        'convolutions': torch.backends.cudnn.allow_tf32,
    }
    return ' and '.join(kind for kind, allowed in kinds.items() if allowed) or 'none'


class Precision:
    r"""Products and activations in :obj:`"bf16"` or :obj:`"fp16"`, under torch's
    autocast. Weights, the statistics of batch norm, adjacencies and their
    normalisation, softmax and loss stay in float32; for fp16 the loss is scaled, so
    that small gradients do not vanish.

    Args:
        name (str): :obj:`"float32"`, :obj:`"bf16"`, :obj:`"fp16"`, or
            :obj:`"auto"`, which picks by the device.
        device (torch.device): The device.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        dtype = _DTYPES[resolved(name, device)]
        if (
            dtype == torch.bfloat16
            and device.type == 'cuda'
            and not torch.cuda.is_bf16_supported(including_emulation=False)
        ):
            raise ValueError(
                f"precision='bf16' needs an Ampere GPU or later (got "
                f"{torch.cuda.get_device_name(device)}); 'fp16' runs on it"
            )
        self._device, self._dtype = device.type, dtype
        self.scaler = GradScaler(device.type, enabled=dtype == torch.float16)

    def autocast(self) -> torch.autocast:
        """The context that a forward pass runs in."""
        return torch.autocast(
            self._device, self._dtype, enabled=self._dtype is not None
        )


def widened(logits: torch.Tensor) -> torch.Tensor:
    """Logits of fewer bits as float32, for softmax and loss; others as they are."""
    half = logits.dtype in (torch.float16, torch.bfloat16)
    return logits.float() if half else logits
