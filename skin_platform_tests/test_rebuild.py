"""`skin rebuild`: what an upgrade or a lost database asks for, from the command line."""

import json

import duckdb
import pytest

from skin_platform_tests.deployments import skin, small_delivery


@pytest.mark.slow
def test_a_catalogue_of_another_version_is_made_anew_by_the_command_that_the_error_names(copied, tmp_path):
    before = copied.stores.catalogue.state()
    with duckdb.connect(str(copied.settings.dataset.metadata_database)) as db:
        db.execute("UPDATE metadata.layout SET layout = 'of another version'")
    more = small_delivery(tmp_path / "more", seed=9, images=6)
    refused = skin("ingest", "--home", copied.home, "--source", more, check=False)
    assert refused.returncode == 1
    assert "skin rebuild" in refused.stderr + refused.stdout
    made = json.loads(skin("rebuild", "--home", copied.home, "--json").stdout)
    assert made["rows"] == before.rows + 6, "the refused batch is judged and stored: its manifest counts"
    skin("ingest", "--home", copied.home, "--source", more)  # ends what was left open
    assert copied.stores.catalogue.state().content_digest == made["content_digest"]
    assert json.loads(skin("rebuild", "--home", copied.home, "--json").stdout) == made
