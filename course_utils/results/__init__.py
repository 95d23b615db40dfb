"""The one results table, which grows from stage to stage.

A result says which model, trained on what, reached which value where. :func:`record` computes it
from the objects and keeps it in a JSON file (``settings.results_file()``); :func:`table` shows all
of them. Where a stage has not been run, the table shows the measurements that come with the course
instead, marked so.
"""

from course_utils.results.detectors import ablations, alarms, alarms_recorded, mistaken
from course_utils.results.literature import PUBLISHED
from course_utils.results.priced import Priced, costs
from course_utils.results.records import (
    IDENTITY,
    METRICS,
    RESULT,
    Result,
    chance_of,
    curves,
    identity,
    keep,
    load,
    record,
    references,
)
from course_utils.results.studies import study
from course_utils.results.tables import Table, comparison, mean_and_spread, table

__all__ = [
    "IDENTITY", "METRICS", "PUBLISHED", "RESULT", "Priced", "Result", "Table", "ablations",
    "alarms", "alarms_recorded", "chance_of", "comparison", "costs", "curves", "identity", "keep",
    "load", "mean_and_spread", "mistaken", "record", "references", "study", "table",
]
