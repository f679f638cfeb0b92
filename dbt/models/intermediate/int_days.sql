{# Generated from models/ by `make dbt-models`: change it there. #}
WITH digits AS (
  SELECT n FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS v(n)
),
bounds AS (
  SELECT s.today, GREATEST(MIN(t.starts_on), s.today - 9999) AS first_day
  FROM {{ ref('int_terms') }} AS t
  CROSS JOIN {{ ref('model_settings') }} AS s
  WHERE t.annual_value IS NOT NULL
  GROUP BY s.today
),
days AS (
  SELECT b.today, b.first_day + CAST(a.n + 10 * t.n + 100 * h.n + 1000 * k.n AS INT) AS day
  FROM bounds AS b
  CROSS JOIN digits AS a
  CROSS JOIN digits AS t
  CROSS JOIN digits AS h
  CROSS JOIN digits AS k
)
SELECT day, CAST(DATE_TRUNC('month', day) AS DATE) AS month
FROM days
WHERE day <= today
