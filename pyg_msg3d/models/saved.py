from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import Module, SyncBatchNorm

from pyg_msg3d.data import CheckpointError, Metadata
from pyg_msg3d.data.errors import say_assumed
from pyg_msg3d.models.checkpoint import name_of, read_checkpoint
from pyg_msg3d.models.families import to_family
from pyg_msg3d.models.safetensors_file import save_safetensors
from pyg_msg3d.models.transfer import Transfer, transfer
from pyg_msg3d.skeletons import Skeleton
from pyg_msg3d.skeletons import skeleton as look_up

M = TypeVar('M', bound='SavedModel')


class SavedModel(Module):
    r"""A model that goes to files and comes from them; base of
    :class:`~pyg_msg3d.MSG3D`.

    Attributes:
        metadata (Metadata): The names of the classes, and how clips are made of
            recordings, where a training or a checkpoint has told.
        transfer (Transfer or None): What :meth:`from_checkpoint` kept and drew anew.
    """

    skeleton: Skeleton

    def __init__(self) -> None:
        super().__init__()
        self.metadata = Metadata()
        self.transfer: Transfer | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that make this model as it is, as plain values."""
        raise NotImplementedError

    @classmethod
    def from_checkpoint(
        cls: type[M],
        source: str | PathLike | Mapping[str, Any],
        skeleton: str | Skeleton | None = None,
        num_classes: int | None = None,
        in_channels: int | None = None,
        num_persons: int | None = None,
        classes: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> M:
        r"""Builds the model that a checkpoint holds and loads its weights, exactly:
        those of MS-G3D's authors, of MMAction2 and of PYSKL, and those that
        :class:`pyg_msg3d.training.Trainer` saves.

        Of public checkpoints, the sizes, scales, persons, classes and windows are read
        off the tensors; normalisation and bones are those of the family that the keys
        tell. Our own hold all that, and where the training kept an average of the
        weights, that is loaded.

        For data with other classes, joints, channels or persons, what fits is kept:
        joints are matched by name, classes by name where the checkpoint has names,
        channels and persons by place. The rest is drawn anew. Both are listed in
        :attr:`transfer`, and said once (:class:`~pyg_msg3d.data.SkeletonDataWarning`).

        .. code-block:: python

            model = MSG3D.from_checkpoint('ntu60.pth', num_classes=3)
            model = MSG3D.from_checkpoint('ntu60.pth', 'kinect-20', classes=['a', 'b'])

        Args:
            source (str, path or dict): A file, read with ``weights_only=True``, a
                ``.safetensors`` file, or a state dict, in a training checkpoint or
                alone.
            skeleton (str or Skeleton, optional): The skeleton of the model. By default
                that of the checkpoint, which is the family's own for that number of
                joints.
            num_classes (int, optional): The number of classes.
            in_channels (int, optional): Channels of a joint.
            num_persons (int, optional): Persons of a clip.
            classes (sequence of str, optional): The names of the classes, instead of
                their number.
            **kwargs (optional): What tensors do not tell: :obj:`window_dilations`,
                :obj:`dropout` and :obj:`pooling`.

        Raises:
            FileNotFoundError: If there is no such file.
            CheckpointError: If the source is no checkpoint or a damaged one, holds
                another model (the message lists missing and unexpected keys), other
                bones than the skeleton, or numbers that are NaN or complex.
            ValueError: If the number and the names of classes differ.
        """
        given = None if skeleton is None else look_up(skeleton)
        loaded = read_checkpoint(source, given)
        try:
            model = cls(**{**loaded.arguments, **kwargs})
            model.load_state_dict(loaded.state)
        except (
            AttributeError, OverflowError, RuntimeError, TypeError, ValueError,
        ) as error:  # fmt: skip
            # torch's message names keys and sizes.
            raise CheckpointError(
                f'{name_of(source)} does not fit itself. {error}'
            ) from error
        if len(loaded.metadata.classes) in (0, model.arguments['num_classes']):
            model.metadata = loaded.metadata
        if classes is not None and num_classes not in (None, len(classes)):
            raise ValueError(
                f"'num_classes' is {num_classes}, but 'classes' names {len(classes)}"
            )
        wanted = {
            'num_classes': len(classes) if classes is not None else num_classes,
            'in_channels': in_channels,
            'num_persons': num_persons,
        }
        return model._changed(given, wanted, classes, name_of(source))

    def _changed(
        self: M,
        skeleton: Skeleton | None,
        wanted: Mapping[str, int | None],
        classes: Sequence[str] | None,
        name: str,
    ) -> M:
        """This model, or another that begins with what of it fits."""
        changes: dict[str, Any] = {
            key: value
            for key, value in wanted.items()
            if value is not None and value != self.arguments[key]
        }
        if skeleton is not None and (
            skeleton.joints != self.skeleton.joints
            or not skeleton.edge_index.equal(self.skeleton.edge_index)
        ):
            changes['skeleton'] = skeleton
        known = self.metadata.classes
        renamed = classes is not None and tuple(classes) != known
        if renamed and not known and not changes:
            # Of whose classes nothing is known, these are the names.
            self.metadata = replace(self.metadata, classes=tuple(classes or ()))
        elif renamed or changes:
            arguments = {**self.arguments, 'skeleton': self.skeleton, **changes}
            model = type(self)(**arguments)
            same = classes is None and 'num_classes' not in changes
            model.metadata = replace(
                self.metadata, classes=known if same else tuple(classes or ())
            )
            if changes.keys() - {'num_classes', 'num_persons'}:
                # Joints and channels are no more those that these are told of.
                model.metadata = replace(model.metadata, steps=None)
            model.transfer = transfer(self, model)
            say_assumed(f'Of {name}, {model.transfer}')
            return model
        return self

    def check_restorable(self) -> None:
        """Refuses a model that no checkpoint could give back: one with other modules
        than its arguments make.

        Raises:
            CheckpointError: If it is one; the message names what differs.
        """
        try:
            with torch.device('meta'):
                twin = type(self)(**{**self.arguments, 'skeleton': self.skeleton})
            mine, theirs = self.state_dict(), twin.state_dict()
            differ = sorted(
                key
                for key in mine.keys() | theirs.keys()
                if key not in mine
                or key not in theirs
                or mine[key].shape != theirs[key].shape
            )
            own = dict(self.named_modules())
            differ += [
                f'{name} ({type(own[name]).__name__})'
                for name, module in twin.named_modules()
                if name
                and name in own
                and not isinstance(own[name], type(module) | SyncBatchNorm)
            ]
        except (AttributeError, TypeError, ValueError) as error:
            differ = [str(error)]
        if differ:
            shown = ', '.join(differ[:6]) + (', ...' if len(differ) > 6 else '')
            raise CheckpointError(
                f'A checkpoint of this model could not be opened again: it has other '
                f'modules than its arguments make ({shown}). The classifier '
                f'may be another torch.nn.Linear; for other changes, train without '
                f'run_dir and save what you need yourself'
            )

    def save(self, path: str | PathLike) -> None:
        """Writes the model to a ``.safetensors`` file: weights, the arguments that make
        it, the names of its classes and how clips are made.

        Raises:
            CheckpointError: If it could not be opened again.
        """
        self.check_restorable()
        save_safetensors(path, self.state_dict(), self.arguments, self.metadata)

    def to_checkpoint(self, family: str) -> dict[str, Tensor]:
        r"""The weights as other code loads them, the inverse of
        :meth:`from_checkpoint`: ``torch.save(model.to_checkpoint('official'), path)``.

        Where bones or normalisation are those of the family, the weights are moved
        alone, bit for bit. Otherwise, and for ``residual`` :obj:`"tied"` and
        :obj:`None`, the difference of the adjacencies goes into the learned residual,
        exact up to rounding.

        Args:
            family (str): ``'official'``, MS-G3D's authors; ``'mmaction2'``; or
                ``'pyskl'``.

        Raises:
            ValueError: If there is no such family, or its code knows no such model.
        """
        return to_family(self, family)
