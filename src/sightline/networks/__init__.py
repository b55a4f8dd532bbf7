"""Networks: timm's by name, and a small one of our own.

Comes in: a name, safetensors weights. Goes out: a :class:`~sightline.networks.network.Network` and plain facts
about it. Knows torch and timm; knows nothing about data, plans being made, or training.
"""

import warnings

# timm brings tqdm, which remarks in notebooks that a widget of its own is not installed; we show no such bar.
warnings.filterwarnings("ignore", message="IProgress not found")
