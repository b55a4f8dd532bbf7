"""The run folder: the only place that knows the names inside it, and how to write them safely.

Comes in: values to keep. Goes out: :class:`~sightline.runs.folder.Run`, a folder open for reading, and
:class:`~sightline.runs.writer.RunWriter`. Knows files; knows nothing about networks.
"""
