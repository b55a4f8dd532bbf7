"""What lives after training: a classifier in one file, and what it says about images.

Comes in: ``model.onnx`` and images. Goes out: :class:`~sightline.runtime.predictions.Predictions`. Knows numpy,
Pillow and onnxruntime; knows nothing about torch, runs, labels or how the model was made.
"""
