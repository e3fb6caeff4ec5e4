"""`make mutations`: small changes of the code, one after the other, each judged by the tests that run the changed line.

cosmic-ray makes the mutants and keeps what became of each; ours is the sample, the choice of tests, and the speed.

- `operators`: which changes. `mutants`: where in the code, under names that stay when lines move.
- `suite`: which tests run which line, and for how long, seen by coverage in one run of them all.
- `choice`: which of them judge a mutant, where there is no time for all.
- `nursery`: a process that imported what takes long, in a copy of the project; it forks a child for each mutant, which
  imports the project's own modules, the changed one among them, and runs pytest with servers of its own.
- `run`: the queue, two copies at a time. `report`: the score, and the survivors that `survivors.toml` does not explain.
"""
