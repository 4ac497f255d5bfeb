from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.river.beside import along, unix_seconds, weight

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@given(st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)))
def test_a_datetime_in_any_form_is_the_same_number(when: dt.datetime) -> None:
    micros = (when.replace(tzinfo=dt.UTC) - EPOCH) // dt.timedelta(microseconds=1)
    elsewhere = when.replace(tzinfo=dt.UTC).astimezone(dt.timezone(dt.timedelta(hours=-7)))
    forms = [when, elsewhere, pd.Timestamp(when), np.datetime64(when, "us"), np.datetime64(when, "ns")]
    assert [unix_seconds(form, "t") for form in forms] == [micros / 1e6] * len(forms)


@pytest.mark.parametrize("missing", [None, math.nan, pd.NaT, pd.NA, np.datetime64("NaT"), np.float32("nan")])
def test_what_is_missing(missing: object) -> None:
    assert math.isnan(unix_seconds(missing, "t"))
    if not isinstance(missing, np.datetime64):
        assert weight(missing, "w") == 1.0


STAMPS = [dt.datetime(2024, 1, 1), None, dt.datetime(2024, 1, 2, 3, 4, 5, 6)]
SECONDS = [1704067200.0, math.nan, 1704164645.000006]


@pytest.mark.parametrize(
    "values",
    [
        STAMPS,
        tuple(SECONDS),
        np.array(SECONDS),
        np.array(STAMPS, dtype="datetime64[ns]"),
        np.array(STAMPS, dtype="datetime64[us]"),
        pd.Series(STAMPS),
        pd.DatetimeIndex(STAMPS),
        pd.DatetimeIndex(STAMPS).tz_localize("UTC").tz_convert("Asia/Tokyo"),
        pl.Series(STAMPS),
        pa.chunked_array([STAMPS]),
        (stamp for stamp in STAMPS),
    ],
)
def test_many_event_times(values: Any) -> None:
    np.testing.assert_array_equal(along(values, 3, "t", unix_seconds), SECONDS)


def test_one_value_for_all_rows() -> None:
    for value in (2, 2.0, np.float64(2.0)):
        assert along(value, 3, "w", weight).tolist() == [2.0, 2.0, 2.0]
    assert along(STAMPS[0], 2, "t", unix_seconds).tolist() == SECONDS[:1] * 2
