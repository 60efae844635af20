"""Kills avtool at random moments and goes on: `python -m tests.chaos [--kills 50] [--seed 0] [--job NAME]`.

Every job is first run undisturbed. Then it is begun anew, killed (SIGKILL, with all its processes) at a moment drawn
from its running time, begun again on what that left, and so on, and at last run to its end. What is then on disk must
be what the undisturbed run left, to the byte, and nothing beside it. Ends with 1 where it is not.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos import jobs
from tests.chaos.jobs import JOBS, Job

ROUND = 5  # kills before a job may end


def disturb(job: Job, model: Path, place: Path, kills: int, dice: random.Random) -> tuple[int, list[str]]:
    """Kill one job `kills` times; how often it was still at it, and what is wrong with what it left."""
    calm = jobs.lay_out(place / f"{job.name}-calm", model)
    began = time.monotonic()
    if code := jobs.run(job.command, calm):
        return 0, [f"undisturbed it ends with {code}: {(calm / 'errors.txt').read_text()[-500:]}"]
    takes, wanted = time.monotonic() - began, jobs.results(calm)
    hit, wrong = 0, []
    while kills > 0:
        folder = jobs.lay_out(place / f"{job.name}-{kills}", model)
        for _ in range(min(kills, ROUND)):
            hit += jobs.kill(job, folder, dice.uniform(0, takes))
        kills -= ROUND
        if code := jobs.finish(job, folder):
            wrong.append(f"it ends with {code}: {(folder / 'errors.txt').read_text()[-500:]}")
        left = jobs.results(folder)
        wrong += [
            f"{name} differs"
            for name in sorted(wanted.keys() | left.keys())
            if wanted.get(name) != left.get(name)
        ]
        wrong += [f"{name} was left behind" for name in jobs.litter(folder)]
        shutil.rmtree(folder)
    return hit, wrong


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50, help="in all, over all jobs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--job", choices=[job.name for job in JOBS])
    options = parser.parse_args()
    chosen = [job for job in JOBS if options.job in (None, job.name)]
    dice, bad = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        model = jobs.lay_out(place / "model")
        for job in chosen:
            began = time.monotonic()
            hit, wrong = disturb(job, model, place, options.kills // len(chosen), dice)
            verdict = "the same bytes, nothing left behind" if not wrong else f"{len(wrong)} faults"
            print(f"{job.name:10} {hit} kills in {time.monotonic() - began:.0f} s: {verdict}", flush=True)
            for fault in wrong:
                print(f"  {fault}")
            bad += bool(wrong)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
