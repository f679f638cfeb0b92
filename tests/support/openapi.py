"""YAML of the OpenAPI document, and its validators, which take a second to import and so wait for a test that asks."""

import yaml


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


def write_yaml(document, file):
    """Write a document as YAML, texts of several lines as blocks."""

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data):
            return True

    def text(dumper, value):
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    yaml.dump(document, file, Dumper, sort_keys=False, allow_unicode=True, width=120)
