"""The working folders whose load packages are listed and dropped."""

import pytest

from automatum.core.errors import ConfigurationError
from automatum.operations.packages import WorkingFolders, list_packages
from automatum.warehouse.target import Target


def test_a_misspelt_organization_is_refused(isolated):
    """It would look as if nothing waited."""
    with pytest.raises(ConfigurationError, match="no organization 'acmee'"):
        list_packages(WorkingFolders(Target(), organization="acmee"))


def test_a_misspelt_folder_is_refused(isolated):
    with pytest.raises(ConfigurationError, match="there is no folder nowhere"):
        list_packages(WorkingFolders(Target(), "nowhere"))


def test_a_pipeline_is_found_by_its_name(isolated):
    folders = WorkingFolders(Target(), organization="acmee", pipeline_name="mine")
    assert list_packages(folders) == {"pipelines": ["mine"], "packages": []}
