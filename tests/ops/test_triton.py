"""The Triton kernels without a GPU: interpreted on the CPU, and compiled ahead."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COMPILE = """
import inspect, subprocess, sys, tempfile
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource
from pyg_msg3d.ops.kernels import triton as kernels

arch = int(sys.argv[1])
# Of earlier Tritons it is one for all.
given = [arch][: len(inspect.signature(get_ptxas).parameters)]
blocks = {"block_edges": kernels.BLOCK_EDGES, "block_channels": kernels.BLOCK_CHANNELS}
for kernel in (kernels.product_kernel, kernels.weight_gradient_kernel):
    for dtype in ("fp32", "bf16", "fp16"):
        constants = {"accumulator": tl.float32, **blocks}
        constants = {k: v for k, v in constants.items() if k in kernel.arg_names}
        signature = {}
        for name in kernel.arg_names:
            if name in constants:
                signature[name] = "constexpr"
            elif name in ("pointer", "row", "column"):
                signature[name] = "*i64"
            elif name in ("x", "grad", "value", "out"):
                wide = name == "out" and kernel is kernels.weight_gradient_kernel
                signature[name] = "*fp32" if wide else "*" + dtype
            else:
                signature[name] = "i32"
        source = ASTSource(kernel, signature, constexprs=constants)
        compiled = triton.compile(source, target=GPUTarget("cuda", arch, 32))
        assert compiled.asm["cubin"]
        with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
            file.write(compiled.asm["ptx"])
            file.flush()
            name = f"sm_{arch}a" if arch == 90 else f"sm_{arch}"
            command = [get_ptxas(*given).path, "-v", "--gpu-name", name]
            command += [file.name, "-o", "/dev/null"]
            told = subprocess.run(command, capture_output=True, text=True, check=True)
        lines = [line.strip() for line in told.stderr.splitlines()]
        spills = next(line for line in lines if "spill stores" in line)
        registers = next(line for line in lines if "registers" in line)
        print(f"sm_{arch} {kernel.__name__} {dtype}: {registers}; {spills}; "
              f"{compiled.metadata.shared} bytes of shared memory")
        assert "0 bytes spill stores, 0 bytes spill loads" in spills
"""


pytestmark = pytest.mark.usefixtures('triton')


@pytest.mark.slow
@pytest.mark.skipif(
    os.environ.get('TRITON_INTERPRET') == '1', reason='this is that process'
)
def test_interpreted():
    """All tests of backends, with this one, in a process that interprets."""
    command = [sys.executable, '-m', 'pytest', '-q', '-k', 'triton', str(HERE)]
    command += [
        str(HERE.parent / 'nn' / 'test_msgcn_conv.py'),
        '-p',
        'no:cacheprovider',
    ]
    told = subprocess.run(
        command,
        env=os.environ | {'TRITON_INTERPRET': '1'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout[-3000:]
    summary = told.stdout.strip().splitlines()[-1]
    assert int(summary.split(' passed')[0].split()[-1]) >= 20, summary


@pytest.mark.skipif(
    os.environ.get('TRITON_INTERPRET') == '1', reason='interpreted, nothing compiles'
)
@pytest.mark.parametrize('arch', [80, 90])
def test_compiles_ahead(arch):
    told = subprocess.run(
        [sys.executable, '-c', COMPILE, str(arch)],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    print(told.stdout)
    assert told.returncode == 0, told.stderr[-3000:]
    assert told.stdout.count('registers') == 6


def test_without_a_gpu_it_says_so(monkeypatch):
    import torch

    from pyg_msg3d.ops import aggregate

    x, edge = torch.randn(2, 3, 4), torch.zeros(1, dtype=torch.long)
    monkeypatch.delenv('TRITON_INTERPRET', raising=False)
    with pytest.raises(RuntimeError, match="'triton' cannot run here.*on cpu"):
        aggregate(x, edge, edge, None, 3, backend='triton')
