"""The fitted head beside scikit-learn's own answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression

from sightline.networks.network import Network
from sightline.training.head import fit_head


def blobs(classes: int, seed: int = 0):
    x, y = make_blobs(240, 6, centers=classes, cluster_std=4.0, random_state=seed)
    return x.astype(np.float32), y.astype(np.int64)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_head_says_what_logistic_regression_says(classes):
    x, y = blobs(classes)
    network = Network(torch.nn.Identity(), 6, classes, (0.0,) * 3, (1.0,) * 3)
    strength, loss = fit_head(network, x[:160], y[:160], x[160:], y[160:])
    scale = float(np.sqrt((x[:160] ** 2).mean()))
    model = LogisticRegression(C=strength, max_iter=200, tol=1e-3).fit(x[:160] / scale, y[:160])
    with torch.inference_mode():
        said = torch.softmax(network.head(torch.from_numpy(x[160:])), 1).numpy()
    assert np.allclose(said, model.predict_proba(x[160:] / scale), atol=1e-4)
    wanted = -np.log(model.predict_proba(x[160:] / scale)[np.arange(80), y[160:]]).mean()
    assert loss == pytest.approx(wanted, abs=1e-4)


def test_a_class_without_training_images_is_never_said():
    x, y = blobs(3)
    y = np.array([0, 1, 3])[y]  # class 2 is missing
    network = Network(torch.nn.Identity(), 6, 4, (0.0,) * 3, (1.0,) * 3)
    fit_head(network, x[:160], y[:160], x[160:], y[160:])
    with torch.inference_mode():
        said = network.head(torch.from_numpy(x)).argmax(1)
    assert set(said.tolist()) == {0, 1, 3}
