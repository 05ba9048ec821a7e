"""The folder of a job: what a server and the process that does the job tell each other by.

```
job.json        what is asked for; written once, by whoever creates the job
cancel          is there once the job is to end
progress.json   how far it is
outcome.json    how it ended: the job is over
run/            the run (lossd.scoring.folder)
.lock           held by the process that does it
```
A job without an outcome goes on when it is run again.
"""

from typing import Final

JOB: Final = "job.json"
CANCEL: Final = "cancel"
PROGRESS: Final = "progress.json"
OUTCOME: Final = "outcome.json"
RUN: Final = "run"
LOCK: Final = ".lock"

STOPPED: Final = 130
"""Exit status of a process that was stopped before its job's end: the job can go on."""
