"""DLPack: memory shared with other libraries, one way and the other."""

from __future__ import annotations

import numpy as np
import pytest

import dispatchtorch as torch
from dispatchtorch.utils.dlpack import DLDeviceType, from_dlpack, to_dlpack


def test_memory_is_shared():
    array = np.arange(6.0).reshape(2, 3)
    tensor = from_dlpack(array)
    array[0, 0] = 9
    assert tensor.tolist() == [[9.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_a_copy_is_a_copy():
    array = np.arange(3.0)
    tensor = from_dlpack(array, copy=True)
    array[0] = 9
    assert tensor.tolist() == [0.0, 1.0, 2.0]


def test_a_capsule_shares_memory_too():
    tensor = torch.arange(3)
    again = from_dlpack(to_dlpack(tensor))
    tensor[0] = 7
    assert again.tolist() == [7, 1, 2]
    with pytest.raises(AssertionError, match="already a DLPack capsule"):
        from_dlpack(to_dlpack(tensor), copy=True)


def test_other_libraries_read_tensors():
    tensor = torch.arange(4.0)
    assert np.from_dlpack(tensor).tolist() == [0.0, 1.0, 2.0, 3.0]


def test_what_is_no_array_is_an_error():
    with pytest.raises((AttributeError, RuntimeError, TypeError)):
        from_dlpack(3)


def test_numbers_of_devices_are_those_of_the_standard():
    assert DLDeviceType.kDLCPU == 1
    assert DLDeviceType(4).name == "kDLOpenCL"
