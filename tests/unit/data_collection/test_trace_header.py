from __future__ import annotations

import pytest
from trace_samples import sample_header

from data_collection.streaming.trace_request import parse_header
from data_collection.trace import TraceHeader

NEW_FIELDS = ("follows", "follows_frames", "origin")


def test_a_header_that_lacks_the_links_is_read_as_one_without_any() -> None:
    written_before = {k: v for k, v in sample_header().to_json().items() if k not in NEW_FIELDS}
    assert TraceHeader.from_json(written_before) == sample_header()
    assert parse_header(written_before) == sample_header()


def test_the_links_of_a_header_survive_the_way_to_the_server() -> None:
    header = sample_header(follows="t-0", follows_frames=45, origin="t-9")
    assert parse_header(header.to_json()) == header
    assert TraceHeader.from_json(header.to_json()) == header


@pytest.mark.parametrize(("field", "value"), zip(NEW_FIELDS, (7, -1, None), strict=True))
def test_a_link_that_is_none_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        parse_header({**sample_header().to_json(), field: value})
