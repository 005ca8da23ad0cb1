"""The macros of a query that make quantiles of sketches: `sketch_quantile(list(s), 0.99)` over rows of `process_sketch`. PURE.

They are plain SQL, because a function in Python would hold the lock of the interpreter for each row. Of a group's rows all buckets
become one list, at the coarsest scale of the group, and a binary search over bucket numbers finds the one that holds the quantile:
each of its 13 steps is one pass over that list. `list_reduce` over the buckets themselves takes time in the square of their number,
and so does every lambda that uses a list from outside of it; a correlated subquery is slower still.
"""

# A word that a statement must have for the macros to be made: they take some 2 ms.
WORD = "sketch_"
# Halves of the range of bucket numbers, -1 to 4,031.
_STEPS = ", ".join(str(1 << power) for power in range(12, -1, -1))

# The names of lambdas begin with `_`, because the alias of a table would go before them.
SKETCH_MACROS = (
    "CREATE MACRO _sketch_scale(sketches) AS list_min(list_transform(sketches, lambda _one: _one.scale))",
    "CREATE MACRO _sketch_zeros(sketches) AS list_sum(list_transform(sketches, lambda _one: _one.zero_count))",
    'CREATE MACRO _sketch_last(sketches) AS list_sum(list_transform(sketches, lambda _one: _one."count")) - 1',
    "CREATE MACRO _sketch_repeated(value, times) AS list_resize([value], times, value)",
    # Each bucket of each sketch with its number at the scale of all.
    """
CREATE MACRO _sketch_buckets(sketches) AS flatten(list_transform(
    list_zip(sketches, _sketch_repeated(_sketch_scale(sketches), len(sketches))),
    lambda _one: list_transform(
        list_zip(
            _one[1].counts,
            range(_one[1].first_bucket, _one[1].first_bucket + len(_one[1].counts)),
            _sketch_repeated(pow(2, _one[1].scale - _one[2]), len(_one[1].counts))),
        lambda _bucket: {'times': _bucket[1], 'number': CAST(floor(_bucket[2] / _bucket[3]) AS INTEGER)})))""",
    # The last bucket number below which no more values lie than have a smaller rank.
    f"""
CREATE MACRO _sketch_found(sketches, rank) AS list_transform(
    [{{'buckets': _sketch_buckets(sketches), 'rank': rank}}],
    lambda _all: list_reduce(
        [{_STEPS}],
        lambda _found, _step: CASE
            WHEN coalesce(list_sum(list_transform(_all.buckets, lambda _bucket:
                CASE WHEN _bucket.number < _found + _step THEN _bucket.times ELSE 0 END)), 0) <= _all.rank
            THEN _found + _step ELSE _found END,
        CAST(-1 AS INTEGER)))[1]""",
    # In the middle of a bucket, in relation to both of its ends.
    """
CREATE MACRO _sketch_middle(number, scale) AS
    pow(2, number * pow(2, -scale)) * 2 * pow(2, pow(2, -scale)) / (1 + pow(2, pow(2, -scale)))""",
    """
CREATE MACRO _sketch_estimate(sketches, rank, last) AS CASE
    WHEN last < 0 THEN NULL
    WHEN rank < _sketch_zeros(sketches) THEN 0.0
    WHEN rank = 0 THEN list_min(list_transform(sketches, lambda _one: _one."min"))
    WHEN rank >= last THEN list_max(list_transform(sketches, lambda _one: _one."max"))
    ELSE greatest(list_min(list_transform(sketches, lambda _one: _one."min")),
         least(list_max(list_transform(sketches, lambda _one: _one."max")),
               _sketch_middle(_sketch_found(sketches, CAST(rank - _sketch_zeros(sketches) AS BIGINT)), _sketch_scale(sketches))))
    END""",
    """
CREATE MACRO sketch_quantile(sketches, q) AS CASE
    WHEN q < 0 OR q > 1 THEN error(concat('sketch_quantile takes parts between 0 and 1, and not ', q))
    ELSE CAST(_sketch_estimate(sketches, floor(q * _sketch_last(sketches)), _sketch_last(sketches)) AS DOUBLE) END""",
    """
CREATE MACRO sketch_error(sketches) AS
    (pow(2, pow(2, -_sketch_scale(sketches))) - 1) / (pow(2, pow(2, -_sketch_scale(sketches))) + 1)""",
)
