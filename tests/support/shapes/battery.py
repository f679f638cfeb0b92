"""All shapes."""

from tests.support.shapes import lists, records, reports, tokens

SHAPES = [*lists.SHAPES, *records.SHAPES, *records.OF_ENTITLEMENTS, *reports.SHAPES, *tokens.SHAPES]
