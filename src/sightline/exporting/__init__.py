"""A trained network to a file that ships, proved to decide as the network does.

Comes in: a network, a bundle, real images. Goes out: a ``classifier`` folder. Knows torch and ONNX; knows
nothing about training. Each format is one file here.
"""

from sightline.caches import keep_torch_files
from sightline.process_settings import set_up_process

set_up_process()  # before torch is there, whoever imports us
keep_torch_files()
