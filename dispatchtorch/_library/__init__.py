"""What ``torch.library`` stands on.

``kernels``     kernels over tensors by dispatch key, and the layers that bind them
``autograd``    ``register_autograd``: formulas with a ctx, as a ``Function``
``schemas``     ``infer_schema``: a schema from a function's type hints
``custom_ops``  ``custom_op`` and ``CustomOpDef``
``opcheck``     tests of a registration
``tags``        ``torch.Tag``
"""
