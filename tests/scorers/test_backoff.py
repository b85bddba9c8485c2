"""Waits between tries: bounds by hand, and values of Retry-After."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpo_neurons.scorers.backoff import Patience, requested_wait


@pytest.mark.parametrize(
    ("failures", "longest"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (10, 60), (5000, 60)]
)
def test_waits_double_up_to_a_bound_and_fill_the_range_evenly(failures, longest):
    waits = sorted(Patience().wait_seconds(failures, None) for _ in range(2000))
    assert 0 <= waits[0] < 0.02 * longest
    assert 0.98 * longest < waits[-1] <= longest
    assert waits[1000] == pytest.approx(longest / 2, rel=0.15)


def test_a_service_is_not_asked_before_the_time_it_names():
    waits = [Patience().wait_seconds(1, 7.0) for _ in range(200)]
    assert 7 <= min(waits) < max(waits) <= 8


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("0", 0), ("120", 120), (" 3 ", 3), ("", None), ("soon", None), ("-5", 0),
     ("1.5", 1.5), ("+7", 7), ("-0", 0), ("nan", None), ("inf", None), ("1e5", None), ("²", None),
     ("٣", None), ("1_0", None), ("5, 5", None), ("0x10", None), ("9" * 30, float("9" * 30)),
     ("9" * 5000, float("inf")), ("Thu, 01 Jan 0001 00:00:00 GMT", 0), (":", None), (",,,", None),
     ("Fri, 31 Dec 99999 23:59:59 GMT", None), ("Fri, 31 Dec 9999 23:59:59 -9999", None),
     ("1 Jan", None), ("\x00", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
     ("Wed, 99 Oct 2015 07:28:00 GMT", None)],
)  # fmt: skip
def test_seconds_are_read_from_a_header_and_nonsense_is_not(header, seconds):
    assert requested_wait(header) == seconds


@pytest.mark.parametrize("zone", [UTC, None])
def test_a_date_is_read_as_seconds_from_now(zone):
    moment = datetime.now(UTC) + timedelta(seconds=90)
    # Without a zone, the mail format writes -0000: universal time all the same.
    header = format_datetime(moment.replace(tzinfo=zone), usegmt=zone is not None)
    assert 87 < requested_wait(header) <= 90


@given(st.text())
def test_no_header_whatever_is_a_traceback(header):
    wait = requested_wait(header)
    assert wait is None or wait >= 0


def test_a_service_that_asks_for_no_wait_is_left_alone_all_the_longer():
    waits = [Patience().wait_seconds(7, 0.0) for _ in range(300)]
    assert max(waits) > 50
