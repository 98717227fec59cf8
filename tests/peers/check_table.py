#!/usr/bin/env python3
"""Does pyarrow read the table of features that was written here, and does it hold together?

python tests/peers/check_table.py features.parquet
"""

import math
import sys

import pyarrow.parquet as pq

file = pq.ParquetFile(sys.argv[1])
print(file.metadata, file.schema_arrow, sep="\n")
table = file.read()
table.validate(full=True)
for name, column in ((name, file.schema_arrow.get_field_index(name)) for name in ("feature", "density", "active")):
    for group in range(file.num_row_groups):
        found, values = (
            file.metadata.row_group(group).column(column).statistics,
            file.read_row_group(group, [name])[name].to_pylist(),
        )
        assert found.null_count == 0 and (found.min, found.max) == (min(values), max(values)), (name, group)

TOGETHER = [
    ("top_tokens", "top_activations"),
    ("promoted_tokens", "promoted_logits"),
    ("suppressed_tokens", "suppressed_logits"),
    ("neuron_alignment", "neuron_alignment_values"),
    ("correlated_neurons", "correlated_neurons_pearson"),
    ("correlated_features", "correlated_features_pearson"),
]
rows = table.to_pylist()
assert [row["feature"] for row in rows] == sorted({row["feature"] for row in rows})
for row in rows:
    n, active, mean = row["positions"], row["active"], row["mean"]
    assert (
        row["density"] == active / n and 0 <= row["frac_nonzero"] <= row["density"] and active + row["excluded"] <= n
    ), row
    assert (
        (active == 0)
        == (row["mean_active"] is None)
        == (row["skew"] is None)
        == (row["kurtosis"] is None)
        == (row["max"] == 0)
    ), row
    if active:
        assert math.isclose(row["mean_active"] * active, mean * n, rel_tol=1e-9) and row["mean_active"] <= row[
            "max"
        ] * (1 + 1e-6), row
    for names, values in TOGETHER:
        assert (row[names] is None) == (row[values] is None), row
        if row[names] is None:
            continue
        assert len(row[names]) == len(row[values]), (names, row)
        assert row[values] == sorted(row[values], reverse=names != "suppressed_tokens"), (values, row)
    assert all(0 < value <= row["max"] for value in row["top_activations"]), row
    assert row["feature"] not in row["correlated_features"] and all(
        abs(value) <= 1 + 1e-6 for name in ("neurons", "features") for value in row[f"correlated_{name}_pearson"]
    ), row
print(len(rows), "features,", sum(row["active"] == 0 for row in rows), "dead: read by pyarrow, and consistent")
