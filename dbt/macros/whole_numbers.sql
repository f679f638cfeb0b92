{# Postgres has no integer of 128 bits; its `div` takes decimals. #}
{% macro wide_integer() %}{{ 'DECIMAL(38, 0)' if target.type == 'postgres' else 'HUGEINT' }}{% endmacro %}

{% macro integer_division() %}{{ 'DIV' if target.type == 'postgres' else 'DIVIDE' }}{% endmacro %}
