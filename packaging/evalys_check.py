"""Reads a run of `tepui sim` with evalys, and compares with the run's own summary. Called by evalys-check.sh."""

import json
import os
import sys

os.environ.setdefault("MPLBACKEND", "Agg")

from evalys.jobset import JobSet
from evalys.visu.legacy import plot_gantt


def close(name, theirs, ours):
    print(f"{name}: evalys {theirs:.6g}, tepui {ours:.6g}")
    if abs(theirs - ours) > 1e-6 * max(1.0, abs(ours)):
        sys.exit(f"error: {name} differs")


run = sys.argv[1]
with open(f"{run}/summary.json") as file:
    summary = json.load(file)
jobs = JobSet.from_csv(f"{run}/out_jobs.csv")
table = jobs.df

close("jobs", len(table), summary["jobs"]["completed"])
close("makespan", table.finish_time.max(), summary["makespan_s"])
close("mean wait", table.waiting_time.mean(), summary["wait_s"]["mean"])
area = (table.execution_time * table.proc_alloc).sum()
close("utilisation", area / jobs.MaxProcs / table.finish_time.max(), summary["utilisation"]["cpus"])
# No slot holds two jobs at once: what evalys finds free and what is used make up the whole.
load = jobs.utilisation.load
if load.max() > jobs.MaxProcs or load.min() < 0:
    sys.exit(f"error: evalys sees {load.max()} of {jobs.MaxProcs} slots in use")
plot_gantt(jobs)
print("evalys plots it as a Gantt chart")
