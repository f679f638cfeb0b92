"""Options, faults, credentials and the list of behaviours."""

from typing import Any

import pytest

from automatum_sandbox import BEHAVIOUR, Fault, Limits, Sandbox, SandboxConfig, parse_limits


@pytest.mark.parametrize("options", [{"apps": ()}, {"metering_status": 204}, {"window_scale": 0}, {"latency": -1}])
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        SandboxConfig(**options)


@pytest.mark.parametrize(
    ("texts", "limits"),
    [
        ([], Limits()),
        (["none"], None),
        (["20/minute"], Limits(app_minute=20)),
        (["20/60", "500/hour"], Limits(app_minute=20, app_hour=500)),
        (["7/3600"], Limits(app_hour=7)),
    ],
)
def test_limits_of_the_command_line(texts: list[str], limits: Limits | None) -> None:
    assert parse_limits(texts) == limits


@pytest.mark.parametrize("text", ["20", "20/day", "0/minute", "-1/minute", "x/hour", "none/minute", "²/hour", ""])
def test_a_limit_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="COUNT/minute"):
        parse_limits([text])
    with pytest.raises(ValueError, match="COUNT/minute"):
        parse_limits(["none", text])


def test_behaviour_has_basis_and_source() -> None:
    assert {entry.basis for entry in BEHAVIOUR} == {"documented", "assumed"}
    assert all(entry.what and entry.source for entry in BEHAVIOUR)
    assert len({entry.what for entry in BEHAVIOUR}) == len(BEHAVIOUR)


@pytest.mark.parametrize("options", [{"kind": "explode"}, {"kind": "redirect"}, {"kind": "slow"}])
def test_impossible_faults_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="fault"):
        Fault(**options)  # type: ignore[arg-type]


def test_credentials_have_the_vendors_form_and_depend_on_the_seed() -> None:
    first, second, other = (Sandbox(SandboxConfig(seed=seed, customers=1)) for seed in (1, 1, 2))
    assert first.client_id == second.client_id != other.client_id
    assert first.client_secret == second.client_secret
    assert first.client_id.startswith("app_") and len(first.client_id) == 16
    assert first.client_secret.startswith("secret_") and len(first.client_secret) == 27
