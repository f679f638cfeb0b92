"""The validators of OpenAPI documents. Imported when a test asks for them: that takes a second of each process."""


def validate(document):
    """Raise an error if this is no valid OpenAPI document."""
    from openapi_spec_validator import validate

    validate(document)


def load(document):
    """The document as schemathesis's schema, which generates requests and validates answers."""
    from schemathesis import openapi

    return openapi.from_dict(document)


def excluded_checks():
    """Checks of schemathesis that the sandbox does not have to pass.

    Whether the API refuses an unknown filter value is not known; that dates are in order, and that a listing exists, is
    more than a schema says.
    """
    from schemathesis.checks import negative_data_rejection, positive_data_acceptance

    return [negative_data_rejection, positive_data_acceptance]
