"""From a data source to a table of samples, and from that to a split.

Comes in: a folder, a table. Goes out: :class:`~sightline.data.samples.Samples` and
:class:`~sightline.data.split.Split`. Knows files and labels; knows nothing about networks or runs. It only
reads the user's files and never changes them.
"""
