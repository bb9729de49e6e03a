"""A step of the trainer itself, from the public implementations' weights."""

import re

import golden_rule as rule
import pytest
import torch
from test_golden import (
    MODELS,
    check_probes,
    clips,
    recorded_roots,  # noqa: F401
    to_source,
)
from torch_geometric.data import Batch

from pyg_msg3d import MSG3D
from pyg_msg3d.data import SkeletonData
from pyg_msg3d.datasets.in_memory import InMemorySkeletonDataset
from pyg_msg3d.models import conversion
from pyg_msg3d.training import Settings, Trainer


@pytest.mark.parametrize('name', MODELS)
def test_gradients_of_a_real_step(name, recorded_roots):  # noqa: F811
    """The loss that it reports, the gradients that it steps along, and the running
    statistics that it leaves."""
    golden = rule.load(name)
    model = MSG3D.from_checkpoint(rule.state_dict(golden)).double()
    x, labels = clips(golden, torch.float64), golden['labels']
    data = [
        SkeletonData(clip, label, str(index))
        for index, (clip, label) in enumerate(zip(x, labels, strict=True))
    ]
    names = [str(number) for number in range(model.num_classes)]
    dataset = InMemorySkeletonDataset(data, model.skeleton, names)
    settings = Settings(batch_size=len(data), epochs=1, momentum=0, weight_decay=0)
    trainer = Trainer(model, dataset, dataset, settings)
    before = {k: p.detach().clone() for k, p in model.named_parameters()}
    done = trainer.engine.step([Batch.from_data_list(data)], lr=1.0)
    assert done.loss == pytest.approx(golden['train_loss'], rel=1e-8)
    # With a rate of one and nothing else, a step is the gradient.
    gradients = {k: before[k] - p.detach() for k, p in model.named_parameters()}

    state = {
        re.sub(r'^backbone\.', '', key): value
        for key, value in rule.state_dict(golden).items()
    }
    classifier = 'fc' if 'fc.weight' in state else 'cls_head.fc'
    residual = 'A_res' if classifier == 'fc' else 'PA'
    rules = conversion.model_rules(residual, 2, classifier)
    after = to_source(rules, state, model.state_dict())
    grads = to_source(rules, state, model.state_dict() | gradients)
    check_probes(golden, grads, after, 'backbone.' if classifier != 'fc' else '')
