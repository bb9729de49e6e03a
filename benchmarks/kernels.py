"""What each Triton kernel takes of a GPU, compiled ahead: no GPU is needed.

    python benchmarks/kernels.py
    python benchmarks/kernels.py --archs 90 --brief

Registers and spilled bytes per thread are those that the assembler reports, shared
memory is per program. A chip has 255 registers for a thread; shared memory for a
program is 163 kB on sm_80 (A100) and 227 kB on sm_90 (H100) and sm_100.
"""

import argparse
import csv
import inspect
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

from pyg_msg3d.ops.kernels import triton as sparse
from pyg_msg3d.ops.kernels import triton_collapse as windows
from pyg_msg3d.ops.kernels import triton_frames as frames
from pyg_msg3d.ops.kernels import triton_ms_tcn as branches
from pyg_msg3d.ops.kernels import triton_norm as norms
from pyg_msg3d.ops.window import Window

OUTPUT = Path(__file__).with_name('kernels.csv')
DTYPES = {'bf16': torch.bfloat16, 'fp32': torch.float32}
SHARED = {80: 163 << 10, 90: 227 << 10, 100: 227 << 10}
# Arguments that are float32, and indices, whatever the features are.
_WIDE = ('affine', 'line', 'parts', 'moments', 'to_gamma', 'to_beta', 'to_weights')
_WIDE += ('end_affine', 'end_line', 'to_maps', 'to_shift')
_WIDE += ('mean', 'variance', 'bias', 'gamma', 'beta', 'shift')
_INDICES = ('pointer', 'row', 'column')
_FEATURES = ('x', 'y', 'z', 'h', 'grad', 'value', 'weight', 'weights', 'maps')
_FEATURES += ('adjacency', 'residual', 'result', 'other')
#: Kernels whose ``out`` are sums in float32.
_SUMS = ('maps_gradient', 'adjacency_gradient', 'weight_gradient', 'moments', 'affine')
_SUMS += ('products', 'read_moments')

Case = tuple[str, Any, str, dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--archs', type=int, nargs='+', default=list(SHARED))
    parser.add_argument('--brief', action='store_true', help='one size of each kernel')
    parser.add_argument('--output', type=Path, default=OUTPUT)
    args = parser.parse_args()
    rows = []
    for arch in args.archs:
        seen = set()
        for size, kernel, dtype, constants in cases():
            if args.brief and (kernel, dtype) in seen:
                continue
            seen.add((kernel, dtype))
            rows.append(build(arch, size, kernel, dtype, constants))
            print(*rows[-1].values(), flush=True)
    with args.output.open('w', newline='') as file:
        writer = csv.DictWriter(file, rows[0], lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
    bad = [
        row for row in rows
        if row['spilled'] or row['shared'] > SHARED.get(row['arch'], 1 << 30)
    ]  # fmt: skip
    sys.exit(f'{len(bad)} of {len(rows)} do not fit' if bad else 0)


def cases() -> Iterator[Case]:
    """A size in words, a kernel, the type of the features, and its constants."""
    for dtype, torch_dtype in DTYPES.items():
        like = torch.empty(0, dtype=torch_dtype)
        for joints in ((25, 25), (17, 17), (50, 25), (25, 50)):
            for channels in ((96, 96), (3, 96), (192, 384)):
                size = 'joints {} to {}, channels {} to {}'.format(*joints, *channels)
                sizes = *joints, *channels
                yield size, frames.sum_kernel, dtype, frames.blocks(like, sizes, False)
                for kernel in (
                    frames.maps_gradient_kernel, frames.adjacency_gradient_kernel,
                ):  # fmt: skip
                    yield size, kernel, dtype, frames.blocks(like, sizes)
        for tau, channels, outputs in ((3, 96, 96), (5, 192, 384)):
            for size, sums in (
                (
                    f'{tau} frames, channels {channels} to {outputs}',
                    windows.Windows(
                        like.new_empty(2, 8, tau * 25, channels), Window(tau)
                    ),
                ),
                (
                    f'{tau} frames, two parts, channels {channels} to {outputs}',
                    windows.Windows(
                        like.new_empty(2, 8, 25, channels), Window(tau),
                        own=like.new_empty(2, 8, 25, channels),
                    ),
                ),
                (
                    f'{tau} frames, channels 18, mapped to 96, to {outputs}',
                    windows.Windows(
                        like.new_empty(2, 8, tau * 25, 18), Window(tau),
                        like.new_empty(96, 18),
                    ),
                ),
            ):  # fmt: skip
                constants = sums.constants(outputs) | {'has_shift': True}
                names = ['collapse', 'products']
                names += {
                    'whole': ['sums_gradient'],
                    'parts': ['read_moments', 'shared_gradient', 'own_gradient'],
                    'mapped': ['read_moments', 'mapped_gradient'],
                }[sums.kind]
                for name in names:
                    if name == 'mapped_gradient':
                        constants |= sums.all_channels()
                    if name == 'own_gradient':
                        constants |= sums.fewer_rows()
                    yield size, getattr(windows, f'{name}_kernel'), dtype, constants
        for channels in (96, 384):
            features = norms.Features(like.new_empty(2, 8, 25, channels))
            constants = {'has_moments': False, 'has_bias': True, 'of_batch': True}
            constants |= {'has_residual': True, 'rectifies': True, 'block_parts': 128}
            constants |= features.blocks
            for name in ('moments', 'affine', 'line', 'sums'):
                kernel = getattr(norms, f'{name}_kernel')
                yield f'channels {channels}', kernel, dtype, constants
        for tuned in (norms.tuned_apply, norms.tuned_through, sparse.tuned_product):
            constants = {'has_residual': True, 'rectifies': True}
            constants |= {'accumulator': tl.float32}
            for choice in tuned.choices:
                size = ', '.join(f'{k} {v}' for k, v in choice.items())
                yield size, tuned.kernel, dtype, constants | choice
        for width in (16, 32, 64)[: 2 if dtype == 'fp32' else 3]:
            for kernel, constants in (
                (branches.branches_kernel, branches.blocks(like, width)),
                (
                    branches.branches_gradient_kernel,
                    branches.gradient_blocks(like, width),
                ),
            ):
                constants['dilations'] = 1, 2, 3, 4
                yield f'channels {width} of a branch', kernel, dtype, constants
        constants = {'accumulator': tl.float32, 'block_channels': 64}
        yield 'any', sparse.weight_gradient_kernel, dtype, constants


def build(
    arch: int, size: str, kernel: Any, dtype: str, constants: dict[str, Any]
) -> dict[str, Any]:
    """Compiles and assembles a kernel for a chip."""
    options = {k: v for k, v in constants.items() if k.startswith(('num_', 'max'))}
    constants = {k: v for k, v in constants.items() if k in kernel.arg_names}
    name = kernel.__name__
    module = kernel.__module__.split('.')[-1]
    signature = {}
    for argument in kernel.arg_names:
        if argument in constants:
            signature[argument] = 'constexpr'
        elif argument in _INDICES:
            signature[argument] = '*i64'
        elif argument in _WIDE or (
            argument == 'out' and name.removesuffix('_kernel') in _SUMS
        ):
            signature[argument] = '*fp32'
        elif argument in (*_FEATURES, 'out'):
            signature[argument] = f'*{dtype}'
        else:
            signature[argument] = 'fp32' if argument == 'eps' else 'i32'
    source = ASTSource(kernel, signature, constexprs=constants)
    target = GPUTarget('cuda', arch, 32)
    compiled = triton.compile(source, target=target, options=options)
    assert compiled.asm['cubin']
    # Of earlier Tritons the assembler is one for all.
    ptxas = get_ptxas(*[arch][: len(inspect.signature(get_ptxas).parameters)]).path
    with tempfile.NamedTemporaryFile('w', suffix='.ptx') as file:
        file.write(compiled.asm['ptx'])
        file.flush()
        chip = f'sm_{arch}a' if arch >= 90 else f'sm_{arch}'
        command = [ptxas, '-v', '--gpu-name', chip, file.name, '-o', '/dev/null']
        told = subprocess.run(command, capture_output=True, text=True, check=True)
    return {
        'arch': arch,
        'kernel': f'{module}.{name}',
        'features': dtype,
        'size': size,
        'registers': int(re.findall(r'Used (\d+) registers', told.stderr)[0]),
        'spilled': sum(map(int, re.findall(r'(\d+) bytes spill', told.stderr))),
        'shared': compiled.metadata.shared,
        'warps': compiled.metadata.num_warps,
    }


if __name__ == '__main__':
    main()
