{# A loaded table with all its columns: null where the dataset lacks one, and without rows if it lacks the table. #}
{% macro automatum_table(name) %}
  {%- set table = source('automatum', name) -%}
  {%- if not execute -%}
    {{ table }}
  {%- else -%}
    {%- set stored = adapter.get_relation(table.database, table.schema, table.identifier) -%}
    {%- set present = adapter.get_columns_in_relation(stored) | map(attribute='name') | list if stored else [] -%}
    {%- set declared = graph.sources.values() | selectattr('source_name', 'equalto', 'automatum')
      | selectattr('name', 'equalto', name) | first -%}
    (SELECT
      {%- for column in declared.columns.values() %}
      {% if column.name in present %}"{{ column.name }}"{% else %}CAST(NULL AS {{ column.data_type }}) AS "{{ column.name }}"{% endif %}
      {%- if not loop.last %},{% endif %}
      {%- endfor %}
    {% if stored %}FROM {{ table }}{% else %}WHERE 1 = 0{% endif %})
  {%- endif -%}
{% endmacro %}
