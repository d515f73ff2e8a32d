"""How checkpoints are written and read; ``dispatchtorch.serialization`` is the face.

``names``      what PyTorch's pickles call the things that live here
``writer``     the zip archive, the pickler, files that are replaced whole or not at all
``reader``     the zip archive, every size checked before memory is taken
``legacy``     the format of before PyTorch 1.6
``unpickler``  the restricted unpickler of ``weights_only=True``
``allowed``    what a pickle may name under it
``locations``  which device a storage comes from and goes to
"""

from __future__ import annotations
