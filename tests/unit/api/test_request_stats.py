"""What is counted of answers and durations."""

from hypothesis import given
from hypothesis import strategies as st

from automatum.api.request_stats import STATS_COLUMNS, Attempt, RequestStats

ATTEMPTS = st.lists(
    st.builds(
        Attempt,
        st.none() | st.sampled_from([200, 401, 403, 404, 429, 500, 503]),
        st.floats(0, 100),
        st.booleans(),
    ),
    max_size=60,
)


@given(attempts=ATTEMPTS)
def test_each_attempt_counts_once_and_durations_are_those_of_attempts(attempts):
    figures = RequestStats(attempts).to_json()
    assert tuple(figures) == STATS_COLUMNS
    refused = sum(figures[name] for name in figures if name.startswith(("http_", "network")))
    assert refused == sum(one.status != 200 for one in attempts)
    assert figures["retries"] == sum(one.repeated for one in attempts)
    p50, p95, most = (figures[f"latency_{name}_ms"] for name in ("p50", "p95", "max"))
    if not attempts:
        assert p50 is p95 is most is None
        return
    milliseconds = [round(1000 * one.seconds) for one in attempts]
    assert p50 <= p95 <= most == max(milliseconds)
    for share, value in ((0.5, p50), (0.95, p95)):
        assert value in milliseconds
        assert sum(one <= value for one in milliseconds) >= share * len(milliseconds)
