"""The data of the sandbox: organizations, their generated rows, and the changes made to them.

Start reading at `organization`. `table` is a list in server order; `generated_rows` makes rows from a seed.
"""
