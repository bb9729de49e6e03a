"""From a file to an answer."""

import csv
import json

import numpy as np
import pose_files
import pytest
import torch

import pyg_msg3d.transforms as T
from pyg_msg3d import MSG3D, Predictor, skeleton
from pyg_msg3d.data import Metadata, SkeletonDataError
from pyg_msg3d.datasets import SkeletonFolder, metadata_of
from pyg_msg3d.io import SkeletonSequence, read
from pyg_msg3d.training import Settings, Trainer, predict

CLASSES = ('sit', 'stand', 'walk')
STEPS = T.Compose(
    [T.Centre(0), T.UnitScale(), T.UniformSampleFrames(8, train=False),
     T.ScoreChannel(), T.PadPersons(2)]
)  # fmt: skip


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def model(bones='h36m-17', classes=CLASSES, steps=STEPS, seed=0, **kwargs):
    torch.manual_seed(seed)
    found = MSG3D(bones, len(classes), gcn_scales=2, g3d_scales=2, window_sizes=(3,),
                  channels=(6, 12), **kwargs)  # fmt: skip
    torch.nn.init.normal_(found.classifier.weight)
    found.metadata = Metadata(tuple(classes), 'all', T.declare(steps))
    return found.eval()


def sequence(rng, name='clip', persons=1, frames=20, joints=17):
    x = rng.normal(size=(persons, frames, joints, 3)).astype('f4')
    return SkeletonSequence(x, name)


def expected(of, recording, steps=STEPS):
    from pyg_msg3d.datasets.preprocessing import clip_of

    with torch.no_grad():
        return of(steps(clip_of(recording, '')).x[None]).double().softmax(1)[0].numpy()


def test_a_file_a_folder_and_arrays(tmp_path, rng):
    """The same answer, whichever way a recording comes."""
    recordings = [sequence(rng, name) for name in ('a', 'b')]
    folder = tmp_path / 'new'
    folder.mkdir()
    for one in recordings:
        np.save(folder / f'{one.name}.npy', one.keypoints[0])
    net = model()
    net.save(tmp_path / 'model.safetensors')
    predictor = Predictor(tmp_path / 'model.safetensors')
    assert predictor.classes == CLASSES
    wanted = np.stack([expected(net, one) for one in recordings])
    arrays = [one.keypoints for one in recordings]
    files = [folder / 'a.npy', folder / 'b.npy']
    for source in (folder, files, recordings, arrays, [*map(torch.tensor, arrays)]):
        found = predictor(source, skeleton='h36m-17')
        values = np.stack([prediction.probabilities for prediction in found])
        np.testing.assert_allclose(values, wanted, atol=1e-6)
    (one,) = predictor(folder / 'a.npy', skeleton='h36m-17')
    assert one.name == 'a'
    assert one.label == CLASSES[wanted[0].argmax()]
    assert one.confidence == pytest.approx(wanted[0].max(), abs=1e-6)
    assert [name for name, _ in one.top(2)] == [
        CLASSES[i] for i in np.argsort(-wanted[0])[:2]
    ]
    assert str(one).startswith(f'a: {one.label} {one.confidence:.1%} (')


def test_tables_of_answers(tmp_path, rng):
    found = Predictor(model())([sequence(rng, n) for n in ('a', 'é', '=1')])
    found.save_json(tmp_path / 'answers.json')
    found.save_csv(tmp_path / 'answers.csv')
    content = json.loads((tmp_path / 'answers.json').read_text())
    assert [p['label'] for p in content['predictions']] == [p.label for p in found]
    assert sum(content['predictions'][0]['probabilities'].values()) == pytest.approx(1)
    with (tmp_path / 'answers.csv').open(newline='', encoding='utf-8') as file:
        rows = [*csv.DictReader(file)]
    assert [row['name'] for row in rows] == ['a', 'é', '=1']
    for row, one in zip(rows, found, strict=True):
        assert row['label'] == one.label
        assert float(row['walk']) == pytest.approx(one.probabilities[2], abs=1e-6)


def test_long_recordings_by_windows(rng):
    long = sequence(rng, 'long', frames=25)
    net = model()
    found = Predictor(net)(long, window=10, hop=5)
    assert [(one.begin, one.end) for one in found] == [
        (0, 10), (5, 15), (10, 20), (15, 25),
    ]  # fmt: skip
    part = SkeletonSequence(long.keypoints[:, 5:15], 'x')
    np.testing.assert_allclose(found[1].probabilities, expected(net, part), atol=1e-6)
    # The end is part of a window, too; a short recording is one.
    begins = [one.begin for one in Predictor(net)(long, window=10)]
    assert begins == [0, 5, 10, 15]
    assert [one.begin for one in Predictor(net)(long, window=12, hop=12)] == [0, 12, 13]
    (one,) = Predictor(net)(long, window=99)
    assert (one.begin, one.end) == (0, 25)
    with pytest.raises(ValueError, match='at least 1'):
        Predictor(net)(long, window=0)
    # Where nobody is, nothing is said, and that is.
    x = long.keypoints.copy()
    x[:, 10:] = 0
    found = Predictor(net)(SkeletonSequence(x, 'gone'), window=5, hop=5)
    assert [one.begin for one in found] == [0, 5]
    assert list(found.skipped) == [f'gone, frames {b} to {b + 4}' for b in (10, 15, 20)]


def test_each_person_alone(rng):
    two = sequence(rng, 'two', persons=2)
    net = model()
    found = Predictor(net)(two, per_person=True)
    assert [one.person for one in found] == [0, 1]
    for one in found:
        alone = SkeletonSequence(two.keypoints[one.person][None], 'x')
        np.testing.assert_allclose(one.probabilities, expected(net, alone), atol=1e-6)


def test_streams_are_added_up_by_class(rng):
    one = sequence(rng)
    first, other = model(seed=0), model(classes=CLASSES[::-1], seed=1)
    (found,) = Predictor([first, other], weights=[3, 1])(one)
    sum_ = (3 * expected(first, one) + expected(other, one)[::-1]) / 4
    np.testing.assert_allclose(found.probabilities, sum_, atol=1e-6)
    with pytest.raises(ValueError, match='knows the classes a, b'):
        Predictor([first, model(classes=('a', 'b'))])
    with pytest.raises(ValueError, match='a weight of at least 0 for each of 2'):
        Predictor([first, other], weights=[1])


def test_several_clips_of_a_recording_are_averaged(rng):
    steps = T.Compose(
        [T.Centre(0), T.UniformSampleFrames(8, 4, train=False), T.PadPersons(2)]
    )
    one, net = sequence(rng, frames=30), model(steps=steps)
    (found,) = Predictor(net)(one)
    x = steps(T.AddBones('h36m-17')(_data(one))).x
    with torch.no_grad():
        mean = net(x).double().mean(0).softmax(0)
    np.testing.assert_allclose(found.probabilities, mean, atol=1e-6)


def _data(recording):
    from pyg_msg3d.datasets.preprocessing import clip_of

    return clip_of(recording, '')


def test_what_does_not_fit_is_refused(tmp_path, rng):
    predictor = Predictor(model())
    with pytest.raises(SkeletonDataError, match='21 joints.*h36m-17.*has 17'):
        predictor(sequence(rng, joints=21))
    with pytest.raises(SkeletonDataError, match='which lack 5 of the model'):
        predictor(sequence(rng), skeleton='coco-17')
    path, *_ = pose_files.coco_results(tmp_path, rng)
    with pytest.raises(SkeletonDataError, match=r"joints of 'coco-17'.*lack"):
        predictor(path)
    with pytest.raises(SkeletonDataError, match='2 channels of a joint instead of 3'):
        predictor(rng.random((9, 17, 2)))
    with pytest.raises(FileNotFoundError):
        predictor(tmp_path / 'none.npy')
    np.save(tmp_path / 'good.npy', sequence(rng).keypoints)
    (tmp_path / 'bad.npy').write_bytes(b'\x93NUMPY nothing')
    found = predictor([tmp_path / 'good.npy'])
    assert len(found) == 1
    with pytest.raises(SkeletonDataError, match=r'bad.npy'):
        predictor(tmp_path / 'bad.npy')


def test_broken_recordings_of_a_folder_are_named(tmp_path, rng):
    for name in ('a', 'b'):
        np.save(tmp_path / f'{name}.npy', sequence(rng).keypoints)
    np.save(tmp_path / 'c.npy', np.full((4, 17, 3), np.inf))
    found = Predictor(model())(tmp_path)
    assert [one.name for one in found] == ['a', 'b']
    assert 'NaN or infinite' in found.skipped['c']


def test_joints_in_another_order_are_put_right(rng):
    """By their names, which is said."""
    net = model('kinect-20')
    one = sequence(rng, joints=20)
    order = [skeleton('kinect-20').joints.index(j) for j in
             skeleton('utd-mhad-20').joints]  # fmt: skip
    other = SkeletonSequence(one.keypoints[:, :, order], 'other')
    with pytest.warns(UserWarning, match="order of the model's 'kinect-20'"):
        (found,) = Predictor(net)(other, skeleton='utd-mhad-20')
    np.testing.assert_allclose(found.probabilities, expected(net, one), atol=1e-6)


def test_transforms_of_ones_own_are_asked_for(rng):
    net = model()
    net.metadata = Metadata(CLASSES, steps=None)
    with pytest.raises(ValueError, match='is not known.*transform='):
        Predictor(net)
    (found,) = Predictor(net, transform=STEPS)(one := sequence(rng))
    np.testing.assert_allclose(found.probabilities, expected(net, one), atol=1e-6)


def test_published_weights_are_used_as_published(rng):
    """Whose they are tells what is done to recordings, which is said."""
    import golden_rule as rule

    state = rule.state_dict(rule.load('mmaction2_ntu60_2d_coco'))
    x, score = pose_files.pixels(rng, 1, 17, 30)
    one = SkeletonSequence(x, 'clip', score, image_size=(1080, 1920))
    with pytest.warns(UserWarning, match=r"'mmaction2' for joints in 2D is assumed"):
        predictor = Predictor(MSG3D.from_checkpoint(state))
    assert predictor.classes[42] == 'falling'
    (found,) = predictor(one)
    recipe = T.recipe('mmaction2')
    from pyg_msg3d.datasets import select_persons

    data = recipe.pre_transform(2)(_data(select_persons(one, recipe.persons(2))))
    data = recipe.transform('coco-17', 'joint', 2, train=False, num_clips=10)(data)
    with torch.no_grad():
        mean = MSG3D.from_checkpoint(state).eval()(data.x).softmax(1).mean(0)
    np.testing.assert_allclose(found.probabilities, mean, atol=1e-5)


def test_joints_that_mattered(rng):
    net = model()
    predictor = Predictor(net)
    (made,) = predictor.prepared(sequence(rng))
    share = predictor.streams[0].joints_that_mattered(made.clips[0], 1)
    x = made.clips[0][None].requires_grad_(True)
    net(x)[0, 1].backward()
    wanted = (x.grad * x).detach().abs().sum(dim=(0, 1, 2, 4))
    torch.testing.assert_close(share, wanted / wanted.max())


# From training to an answer ----------------------------------------------------


def folder_of(root, rng, split=True):
    rows = ['file,label,split']
    for number in range(12):
        np.save(root / f'{number}.npy', rng.normal(size=(10, 17, 3)).astype('f4'))
        rows.append(
            f'{number}.npy,{CLASSES[number % 3]},{"train" if number < 9 else "test"}'
        )
    (root / 'labels.csv').write_text('\n'.join(rows))


def test_a_training_tells_its_checkpoint(tmp_path, rng):
    """Scores of a test and answers of the checkpoint are the same."""
    folder_of(tmp_path, rng)
    train, test = (
        SkeletonFolder(tmp_path, split, 'h36m-17', persons='tracked', transform=STEPS)
        for split in ('train', 'test')
    )
    torch.manual_seed(0)
    net = MSG3D('h36m-17', 3, gcn_scales=2, g3d_scales=2, window_sizes=(3,),
                channels=(6, 12))  # fmt: skip
    settings = Settings(epochs=1, batch_size=3, tensorboard=False, ema=0.5)
    trainer = Trainer(net, train, test, settings, tmp_path / 'run')
    trainer.fit()
    scores = trainer.predict(test)
    assert scores.classes == CLASSES
    again = MSG3D.from_checkpoint(tmp_path / 'run/last.pt')
    assert again.metadata == metadata_of(test)
    assert again.metadata.persons == 'tracked'
    found = Predictor(tmp_path / 'run/best.pt')(
        [tmp_path / f'{n}.npy' for n in (9, 10, 11)], skeleton='h36m-17'
    )
    np.testing.assert_allclose(
        [one.probabilities for one in found], scores.probabilities().values, atol=1e-6
    )


def test_two_of_three_classes_by_name(tmp_path, rng):
    folder_of(tmp_path, rng)
    part = tmp_path / 'part'
    part.mkdir()
    rows = ['file,label']
    for number, label in enumerate(('walk', 'sit', 'walk')):
        np.save(part / f'{number}.npy', rng.normal(size=(10, 17, 3)).astype('f4'))
        rows.append(f'{number}.npy,{label}')
    (part / 'labels.csv').write_text('\n'.join(rows))
    data = SkeletonFolder(part, None, 'h36m-17', transform=STEPS)
    assert data.classes == ('sit', 'walk')
    scores = predict(model(), data)
    assert scores.labels.tolist() == [2, 0, 2]
    assert scores.classes == CLASSES
    scores.save(part / 'scores.npz')
    from pyg_msg3d.evaluation import read_scores

    assert read_scores(part / 'scores.npz').classes == CLASSES
    rows[2] = '1.npy,fly'
    (part / 'labels.csv').write_text('\n'.join(rows))
    data = SkeletonFolder(part, None, 'h36m-17', transform=STEPS)
    with pytest.raises(SkeletonDataError, match=r"know 'fly'.*'fly', 'walk'.*'stand'"):
        predict(model(), data)
    with pytest.raises(SkeletonDataError, match="'fly'"):
        Trainer(model(), data, data, Settings(epochs=1, batch_size=1))
    # A model that names no classes takes numbers as they are.
    unnamed = model()
    unnamed.metadata = Metadata()
    assert predict(unnamed, data).labels.tolist() == [1, 0, 1]


def test_a_new_classifier_trains_and_opens_again(tmp_path, rng):
    folder_of(tmp_path, rng)
    train, test = (
        SkeletonFolder(tmp_path, split, 'h36m-17', transform=STEPS)
        for split in ('train', 'test')
    )
    net = model(classes=[f'c{n}' for n in range(60)])
    net.classifier = torch.nn.Linear(12, 3)
    net.metadata = Metadata()
    settings = Settings(epochs=1, batch_size=3, tensorboard=False)
    Trainer(net, train, test, settings, tmp_path / 'run').fit()
    again = MSG3D.from_checkpoint(tmp_path / 'run/last.pt')
    assert again.num_classes == 3
    assert again.metadata.classes == CLASSES
    net.classifier = torch.nn.Sequential(torch.nn.Linear(12, 3))
    net.classifier.out_features = 3
    with pytest.raises(ValueError, match='could not be opened again'):
        Trainer(net, train, test, settings, tmp_path / 'other')
    assert not (tmp_path / 'other').exists()
    Trainer(net, train, test, settings)  # Without checkpoints, it may be.


def test_readers_and_predictions_agree_on_a_real_format(tmp_path, rng):
    path, *_ = pose_files.mediapipe_json(tmp_path, rng)
    net = model('mediapipe-pose-33')
    (found,) = Predictor(net)(path)  # Of the file's 75 joints, the model's.
    one = read(path, skeleton='mediapipe-pose-33')[0]
    np.testing.assert_allclose(found.probabilities, expected(net, one), atol=1e-6)


def test_files_of_one_name_are_told_apart(tmp_path, rng):
    files = [tmp_path / folder / 'clip.npy' for folder in 'ab']
    for file in files:
        file.parent.mkdir()
        np.save(file, sequence(rng).keypoints)
    predictor = Predictor(model())
    found = predictor(files)
    assert [one.name for one in found] == ['clip', str(files[1])]
    from pyg_msg3d.inference.pictures import draw_predictions

    assert len(draw_predictions(predictor, files, found, tmp_path / 'seen')) == 2


def test_metadata_that_does_not_fit_is_refused(tmp_path, rng):
    from dataclasses import replace

    net = model()
    for changed, said in [
        ({'persons': 'nobody'}, "no rule 'nobody'"),
        ({'steps': ({'name': ['x']},)}, 'no transform'),
    ]:
        net.metadata = replace(model().metadata, **changed)
        with pytest.raises(ValueError, match=said):
            Predictor(net)
    net.metadata = replace(model().metadata, steps=({'name': 'Centre', 'joint': 99},))
    with pytest.raises(SkeletonDataError, match='does not fit what is to be done'):
        Predictor(net)(sequence(rng))
    with pytest.raises(ValueError, match='at least 0'):
        Predictor(model(), weights=[0])
    with pytest.raises(ValueError, match="is of the joints of 'coco-17'"):
        Predictor([model(), model('coco-17')])


def test_a_skeleton_of_ones_own_on_a_known_format(tmp_path, rng):
    """By the places of joints, as in training, which is said."""
    from pyg_msg3d import Skeleton

    path, *_ = pose_files.openpose_body(tmp_path, rng)
    own = Skeleton('own', [*map(str, range(18))], [(v, v + 1) for v in range(17)])
    net = model(own, in_channels=3)
    with pytest.warns(UserWarning, match='by their places'):
        assert len(Predictor(net)(path)) == 1
    with pytest.warns(UserWarning, match="those of 'openpose-18', are taken"):
        SkeletonFolder(path, None, own)
