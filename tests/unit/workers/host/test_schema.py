"""The tables of the host sampler."""

from workers.host.schema import HOST, HOST_DISK, HOST_NETWORK


def test_a_device_may_be_all_others() -> None:
    """The row that sums many has no name, and says how many they are."""
    for table, name, count in ((HOST_DISK, "device", "devices"), (HOST_NETWORK, "interface", "interfaces")):
        columns = {column.name: column for column in table.columns}
        assert (table.key, columns[name].nullable, columns[count].nullable) == (("timestamp", name), True, False)


def test_every_measured_value_may_be_missing() -> None:
    """Only the time is always there."""
    assert [column.name for column in HOST.columns if not column.nullable] == ["timestamp"]
