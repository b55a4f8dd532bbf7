"""Training: from pixels and a plan to a network, as a generator of events.

Comes in: a plan, a store of pixels, labels, a network. Goes out: events, and checkpoints on the disk. Knows
torch; knows nothing about terminals, reports or where the data came from.
"""

from sightline.caches import keep_torch_files
from sightline.process_settings import set_up_process

set_up_process()  # before torch is there, whoever imports us
keep_torch_files()
