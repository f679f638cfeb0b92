"""Bugs that a developer could make, planted one at a time; the tests must notice each (`make mutants`)."""
