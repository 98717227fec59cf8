#!/usr/bin/env python3
"""Does SAEDashboard read the dashboards that were written here? Its load_json, and its own writer over what came out.

python tests/peers/check_dashboard.py dashboards.json
"""

import json
import sys
import tempfile
from pathlib import Path

from sae_dashboard.sae_vis_data import SaeVisConfig, _SaeVisData

text = Path(sys.argv[1]).read_text()
data = _SaeVisData.from_dict(json.loads(text))
features = list(data.feature_data_dict)
first = data.feature_data_dict[features[0]]
print(
    len(features),
    "features:",
    first.acts_histogram_data.title,
    [group.title.replace("<br>", " ") for group in first.sequence_data.seq_group_data][:2],
)
again = data.to_dict()
theirs, ours = json.loads(json.dumps(again)), json.loads(text)


def compare(a, b, where=""):
    if isinstance(a, dict):
        assert a.keys() == b.keys(), (where, a.keys() ^ b.keys())
        for key in a:
            compare(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b)):
            compare(x, y, f"{where}/{i}")
    else:
        assert a == b or (a != a and b != b), (where, a, b)


compare({str(k): v for k, v in theirs["feature_data_dict"].items()}, ours["feature_data_dict"])
compare(theirs["feature_stats"], ours["feature_stats"])
print("read by SAEDashboard, and the same when it writes it again")
