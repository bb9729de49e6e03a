"""Reading the files that hold weights of MS-G3D: public ones, and our own."""

import re
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, NamedTuple

from torch import Tensor

from pyg_msg3d.data import CheckpointError, Metadata
from pyg_msg3d.data.errors import printable
from pyg_msg3d.models.conversion import (
    NORMALIZATION,
    SKELETONS,
    STRIDES,
    convert,
    model_rules,
)
from pyg_msg3d.models.weights_file import check_tensors, load_weights_file
from pyg_msg3d.skeletons import Skeleton, skeleton

# What torch.compile, DataParallel, Lightning and MMAction2 put before the keys.
_WRAPPERS = re.compile(r'^((_orig_mod|module|model|backbone)\.)+')
_COUNTS = (
    'num_classes', 'in_channels', 'num_persons', 'gcn_scales', 'g3d_scales',
    'window_sizes', 'window_dilations', 'channels',
)  # fmt: skip
_OWN_KEY = 'blocks.0.gcn.conv.lin.weight'


class Loaded(NamedTuple):
    """The arguments of the model that a checkpoint holds, its state dict in our keys,
    and what the checkpoint says of its data."""

    arguments: dict[str, Any]
    state: dict[str, Tensor]
    metadata: Metadata


def read_checkpoint(
    source: str | PathLike | Mapping[str, Any], skeleton: Skeleton | None = None
) -> Loaded:
    """Reads a checkpoint, public or our own. See
    :meth:`pyg_msg3d.MSG3D.from_checkpoint`."""
    name = name_of(source)
    if isinstance(source, Mapping):
        content: Any = source
        check_tensors(content, name)
    else:
        content = load_weights_file(source)
    if isinstance(content, Mapping) and 'model_arguments' in content:
        return _read_own(content, name)
    state = _plain_state_dict(content, name)
    if any(tensor.is_meta for tensor in state.values()):
        raise CheckpointError(f'{name} holds tensors without numbers (meta)')
    residual = 'PA' if any(key.endswith('.PA') for key in state) else 'A_res'
    classifier = next(
        (key for key in ('cls_head.fc', 'cls_head.fc_cls') if f'{key}.weight' in state),
        'fc',
    )
    windows = {m[1] for key in state if (m := re.match(r'gcn3d1\.gcn3d\.(\d+)\.', key))}
    rules = model_rules(residual, len(windows) or 2, classifier)

    needed = {key: None for rule in rules for key in rule.theirs}
    missing = [key for key in needed if key not in state]
    graphs = {key: state[key] for key in state if re.search(r'(^|\.)A$', key)}
    unexpected = [key for key in state if key not in needed and key not in graphs]
    if missing or unexpected:
        if _OWN_KEY in state:
            raise CheckpointError(
                f'{name} holds weights of this library, alone: without the sizes and '
                f'the skeleton of their model. Build that, MSG3D(...), and give them '
                f'to its load_state_dict(...), or load a checkpoint that a training '
                f'saved'
            )
        raise CheckpointError(
            f'{name} holds no MS-G3D as the authors, MMAction2 or PYSKL save it.\n'
            f'Missing keys: {_some(missing)}\nUnexpected keys: {_some(unexpected)}'
        )
    try:
        arguments = _arguments(state, residual, len(windows), classifier)
        arguments['skeleton'] = _find_skeleton(state, residual, skeleton, graphs, name)
        converted = convert(rules, state)
    except (IndexError, RuntimeError, ZeroDivisionError) as error:
        first_line = (str(error).splitlines() or [''])[0]
        raise CheckpointError(
            f'{name} does not fit itself: its tensors have shapes that no MS-G3D has '
            f'({first_line})'
        ) from error
    check_weights(converted, name)
    recipe = 'official' if residual == 'A_res' else 'mmaction2'
    return Loaded(arguments, converted, Metadata(recipe=recipe))


def name_of(source: str | PathLike | Mapping[str, Any]) -> str:
    """What messages call a checkpoint."""
    return 'The state dict' if isinstance(source, Mapping) else f"'{printable(source)}'"


def _read_own(content: Mapping[str, Any], name: str) -> Loaded:
    """What a training of ours saved: its average of weights, if it kept one."""
    try:
        arguments = dict(content['model_arguments'])
        arguments['skeleton'] = Skeleton(**arguments['skeleton'])
        state = _own_state(content)
        check_weights(state, name)
        check_sizes(arguments, state)
    except CheckpointError:
        raise
    except (
        AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError,
    ) as error:  # fmt: skip
        raise CheckpointError(
            f'{name} does not fit itself: the weights are not of the model that it '
            f'describes ({type(error).__name__}: {printable(error, 300)})'
        ) from error
    return Loaded(arguments, state, Metadata.of(content.get('metadata'), name))


def _own_state(content: Mapping[str, Any]) -> dict[str, Tensor]:
    if content['ema'] is None:
        return dict(content['model'])
    prefix = 'module.'
    return {
        key.removeprefix(prefix): value
        for key, value in content['ema'].items()
        if key.startswith(prefix)
    }


def check_sizes(arguments: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """Refuses arguments of a model that say other sizes than its weights have, before a
    model of these sizes is built.

    Raises:
        ValueError: If one does.
    """
    for name in _COUNTS:
        value = arguments[name]
        several = list(value) if isinstance(value, list | tuple) else [value]
        if not several or any(type(n) is not int or n < 1 for n in several):
            raise ValueError(f'{name} is {printable(repr(value), 100)}')
    joints, channels = arguments['skeleton'].num_joints, arguments['channels']
    inputs = arguments['num_persons'] * joints * arguments['in_channels']
    expected = {
        'classifier.weight': (arguments['num_classes'], channels[-1]),
        'data_norm.module.weight': (inputs,),
    }
    for i, width in enumerate(channels):
        block = f'blocks.{i}'
        first = arguments['in_channels'] if i == 0 else channels[i - 1]
        middle = hidden = width if i == 0 else first
        expected[f'{block}.gcn.conv.lin.weight'] = (
            arguments['gcn_scales'] * middle, first,
        )  # fmt: skip
        residual = arguments['residual']
        if residual is not None:
            expected[f'{block}.gcn.adjacency.residual'] = (
                joints, joints * arguments['gcn_scales'],
            )  # fmt: skip
        for j, size in enumerate(arguments['window_sizes']):
            conv = f'{block}.g3d.{j}.conv'
            expected[f'{conv}.lin.weight'] = (arguments['g3d_scales'] * hidden, first)
            expected[f'{conv}.collapse.weight'] = (width, size * hidden)
            if residual is not None:
                nodes = joints * (size if residual == 'dense' else 1)
                expected[f'{block}.g3d.{j}.adjacency.residual'] = (
                    nodes, nodes * arguments['g3d_scales'],
                )  # fmt: skip
    for key, shape in expected.items():
        if tuple(state[key].shape) != shape:
            raise ValueError(
                f'{key} has the shape {list(state[key].shape)} instead of {list(shape)}'
            )
    blocks = {key.split('.')[1] for key in state if key.startswith('blocks.')}
    if len(blocks) != len(channels):
        raise ValueError(f'it has {len(blocks)} blocks instead of {len(channels)}')


def check_weights(state: Mapping[str, Tensor], name: str) -> None:
    """Refuses weights that are no real numbers.

    Raises:
        CheckpointError: If there are some; the message names the key.
    """
    for key, tensor in state.items():
        if not isinstance(key, str) or not isinstance(tensor, Tensor) or tensor.is_meta:
            raise CheckpointError(
                f'{name}: expected tensors with their numbers under names (got '
                f'{type(tensor).__name__} under {key!r})'
            )
        counts = key.endswith('num_batches_tracked')
        if tensor.is_floating_point() == counts or tensor.is_complex():
            raise CheckpointError(
                f'{name}: expected {"a whole number" if counts else "real numbers"} '
                f'under {key!r} (got {tensor.dtype})'
            )
        if not tensor.isfinite().all():
            bad = int((~tensor.isfinite()).sum())
            raise CheckpointError(
                f'{name}: {bad} of {tensor.numel()} numbers under {key!r} are NaN or '
                f'infinite; the training that saved it has failed'
            )


def _plain_state_dict(content: Any, name: str) -> dict[str, Tensor]:
    for key in ('state_dict', 'model_state_dict', 'model'):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(
            f'{name} holds no state dict, the names and tensors of a model (got '
            f'{type(content).__name__})'
        )
    odd = [key for key, value in content.items() if not isinstance(value, Tensor)]
    if odd:
        raise CheckpointError(
            f'{name} holds no state dict: expected a tensor under every key (got '
            f'{type(content[odd[0]]).__name__} under {odd[0]!r})'
        )
    return {_WRAPPERS.sub('', key): value for key, value in content.items()}


def _arguments(
    state: Mapping[str, Tensor], residual: str, num_windows: int, classifier: str
) -> dict[str, Any]:
    def scales(key: str) -> int:
        tensor = state[f'{key}.{residual}']
        return tensor.numel() // tensor.size(-1) ** 2

    num_joints = state[f'sgcn1.0.{residual}'].size(-1)
    gcn_scales = scales('sgcn1.0')
    in_channels = state['sgcn1.0.mlp.layers.0.weight'].size(1) // gcn_scales
    return {
        'num_classes': state[f'{classifier}.weight'].size(0),
        'in_channels': in_channels,
        'num_persons': state['data_bn.weight'].numel() // (num_joints * in_channels),
        'gcn_scales': gcn_scales,
        'g3d_scales': scales('gcn3d1.gcn3d.0.gcn3d.1'),
        'window_sizes': tuple(
            state[f'gcn3d1.gcn3d.{j}.out_conv.weight'].size(3)
            for j in range(num_windows)
        ),
        'channels': tuple(
            state[f'gcn3d{i + 1}.gcn3d.0.out_bn.weight'].numel()
            for i in range(len(STRIDES))
        ),
        'residual': 'dense',
        'normalization': NORMALIZATION[residual],
    }


def _find_skeleton(
    state: Mapping[str, Tensor],
    residual: str,
    given: Skeleton | None,
    graphs: Mapping[str, Tensor],
    name: str,
) -> Skeleton:
    num_joints = state[f'sgcn1.0.{residual}'].size(-1)
    named = SKELETONS[residual].get(num_joints)
    known = None if named is None else skeleton(named)
    found = known
    if given is not None and given.num_joints == num_joints:
        # Of other joints than the family's, what fits is kept of these, by their names;
        # unless the checkpoint tells its bones, and they are these.
        told = 'A' in graphs and _bones_of(graphs['A']) == _bones(given)
        if known is None or given.joints == known.joints or told:
            found = given
    if found is None:
        raise CheckpointError(
            f'{name} has {num_joints} joints, which is no skeleton that its '
            f'family ships; pass yours as skeleton=...'
        )
    if 'A' in graphs:  # The checkpoint says itself which bones it was trained with.
        theirs, ours = _bones_of(graphs['A']), _bones(found)
        if theirs != ours:
            raise CheckpointError(
                f'{name} was trained with other bones than skeleton {found.name!r}: '
                f'only in the checkpoint: {sorted(theirs - ours)}; only in the '
                f'skeleton: {sorted(ours - theirs)}. Pass the skeleton with those '
                f'bones as skeleton=...'
            )
    return found


def _bones_of(graph: Tensor) -> set[tuple[int, int]]:
    return {(int(u), int(v)) for u, v in graph.nonzero() if u != v}


def _bones(of: Skeleton) -> set[tuple[int, int]]:
    return {(int(u), int(v)) for u, v in of.edge_index.t()}


def _some(keys: Sequence[str], most: int = 12) -> str:
    if not keys:
        return 'none'
    rest = f', ... and {len(keys) - most} more' if len(keys) > most else ''
    return ', '.join(keys[:most]) + rest
