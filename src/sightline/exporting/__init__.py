"""A trained network to a file that ships, proved to decide as the network does.

Comes in: a network, a bundle, real images. Goes out: a ``classifier`` folder. Knows torch and ONNX; knows
nothing about training. Each format is one file here.
"""

from sightline.caches import keep_torch_files

keep_torch_files()
