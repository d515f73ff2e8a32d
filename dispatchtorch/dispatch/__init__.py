"""The one mechanism: keysets, thread state, schemas, operators, layers.

Nothing in this package knows tensors, devices or array libraries; the floors above
plug into it.
"""
