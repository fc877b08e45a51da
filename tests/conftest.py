"""What all tests share: the flags for those that ask for more."""

FLAGS = {
    "slow": "run the tests marked slow, too",
    "clients": "run the tests marked clients, too: they need what scripts/clients installs",
    "packages": "run the tests marked packages, too: as root, where scripts/package can build",
}


def pytest_addoption(parser):
    for mark, told in FLAGS.items():
        parser.addoption(f"--{mark}", action="store_true", help=told)


def pytest_collection_modifyitems(config, items):
    """Leave such tests out, rather than report them as skipped: a skipped test is one that could not run."""
    unwanted = {mark for mark in FLAGS if not config.getoption(f"--{mark}")}
    left_out = [item for item in items if any(mark.name in unwanted for mark in item.iter_markers())]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
