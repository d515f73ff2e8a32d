"""The device does what ``cpu`` does: add its own tests to the class, or beside it."""

from dispatchtorch.testing.device_tests import DeviceTests


class TestExample(DeviceTests):
    device = "example"
