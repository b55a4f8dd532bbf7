"""Networks: timm's by name, and small ones of our own.

Comes in: a name, safetensors weights. Goes out: a :class:`~sightline.networks.network.Network` and plain facts
about it. Knows torch and timm; knows nothing about data, planning or training.
"""

import warnings

from sightline.caches import keep_torch_files
from sightline.process_settings import set_up_process

# timm imports tqdm, which warns in notebooks that its widget is not installed; we do not use that bar.
warnings.filterwarnings("ignore", message="IProgress not found")

set_up_process()  # before torch is there, whoever imports us
keep_torch_files()  # timm imports what makes its folder
