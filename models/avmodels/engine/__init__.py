"""The training loop and what it stands on: schedules, checkpoints, processes, logs."""
