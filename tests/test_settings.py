"""Settings: from the environment, from arguments, refused in one line; no secret is ever shown."""

from pathlib import Path

import pytest

from fleet.errors import ConfigError
from fleet.settings import ROWS, Settings


def test_without_anything_said_every_default_holds():
    settings = Settings.load({})
    assert {row.name: getattr(settings, row.name) for row in ROWS} == {row.name: row.default for row in ROWS}


def test_the_environment_is_read_in_each_settings_own_type():
    settings = Settings.load(
        {"FLEET_HOME": "/srv/fleet", "FLEET_CONCURRENCY": "7", "FLEET_MODEL_TIMEOUT_S": "1.5", "FLEET_CANDIDATES": ""}
    )
    assert (settings.home, settings.concurrency, settings.model_timeout_s) == (Path("/srv/fleet"), 7, 1.5)
    assert settings.candidates == 5  # empty is as good as not set


def test_an_argument_wins_over_the_environment_and_none_is_no_argument():
    environ = {"FLEET_HOME": "a", "FLEET_CONCURRENCY": "7"}
    settings = Settings.load(environ, home=Path("b"), concurrency=None)
    assert (settings.home, settings.concurrency) == (Path("b"), 7)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"FLEET_CONCURRENCY": "many"}, "FLEET_CONCURRENCY must be a number (calls), not 'many'"),
        ({"FLEET_CONCURRENCY": "0"}, "FLEET_CONCURRENCY must be above 0 (calls), not 0"),
        ({"FLEET_DRAIN_S": "nan"}, "FLEET_DRAIN_S must be above 0 (seconds), not nan"),
        ({"FLEET_MODEL_RETRIES": "-1"}, "FLEET_MODEL_RETRIES must be 0 or more (retries), not -1"),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_one_line(environ, said):
    with pytest.raises(ConfigError) as refused:
        Settings.load(environ)
    assert str(refused.value) == said
    assert refused.value.exit_code == 2


def test_no_retries_at_all_is_a_choice():
    assert Settings.load({"FLEET_MODEL_RETRIES": "0"}).model_retries == 0


def test_an_unknown_setting_is_refused_with_those_that_there_are():
    with pytest.raises(ConfigError, match=r"there is no setting 'concurency'; known are .*concurrency"):
        Settings.load({}, concurency=3)


def test_the_key_is_never_shown():
    settings = Settings.load({"ANTHROPIC_API_KEY": "sk-secret"})
    assert settings.anthropic_api_key == "sk-secret"
    assert "sk-secret" not in repr(settings)
    assert "sk-secret" not in str(settings)
