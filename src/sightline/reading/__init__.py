"""From a source to inspected samples, decoded images and start weights, with events; what is wrong with them.

Comes in: whatever ``data.sources`` can read. Goes out: ``Samples``, a ``PixelStore``, findings. Shared by training,
check and evaluation; knows nothing about a run or how a network learns.
"""
