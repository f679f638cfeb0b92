"""All shapes."""

from tests.support.shapes import lists, records, reports, tokens

SHAPES = [*lists.SHAPES, *records.SHAPES, *reports.SHAPES, *tokens.SHAPES]
