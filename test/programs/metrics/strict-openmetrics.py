"""Reads OpenMetrics pages with the strict parser of prometheus_client.

A line of JSON in, {"page": "..."}, a line of JSON out: {"series": [...]}, or {"error": "..."} when it refuses the page.
"""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families


def read(page):
    try:
        families = list(text_string_to_metric_families(page))
    except ValueError as error:
        return {"error": str(error) or "refused"}
    series = [
        sample.name + json.dumps(sample.labels, sort_keys=True, ensure_ascii=False)
        for family in families
        for sample in family.samples
    ]
    return {"series": series, "types": {family.name: family.type for family in families}}


for line in sys.stdin:
    print(json.dumps(read(json.loads(line)["page"])), flush=True)
