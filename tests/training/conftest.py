import pytest
from actions import small_model, synthetic


@pytest.fixture(scope='session')
def clips():
    return synthetic()


@pytest.fixture
def model(clips):
    return small_model(clips)
