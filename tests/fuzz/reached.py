"""How much of the C core the harnesses reach with their seeds, or those of ``CORPUS``; by gcov."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from gcov import Reached, reached
from run import C_HARNESSES, CSRC, compile_replay, write_seeds


def replay(harness: str, inputs: Path, directory: Path) -> Reached:
    """Without assertions, which have a branch that nothing may reach."""
    program = compile_replay(harness, directory, "gcc", "-O0", "--coverage", "-DNDEBUG")
    subprocess.run([program, *sorted(inputs.iterdir())], check=True)
    return reached(CSRC, directory)


def by_all(corpus: Path | None = None) -> Reached:
    """Lines and branches of csrc, and how often all harnesses together were there."""
    total = Reached(Counter(), Counter())
    for harness in C_HARNESSES:
        with tempfile.TemporaryDirectory() as name:
            inputs = corpus / harness / "corpus" if corpus else Path(name, "inputs")
            if corpus is None:
                write_seeds(harness, inputs)
            found = replay(harness, inputs, Path(name))
        total.lines.update(found.lines)
        total.branches.update(found.branches)
    return total


def main() -> None:
    corpus = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None
    found = by_all(corpus)
    for kind, counts in zip(("lines", "branches"), found):
        missing = sorted([place for place, count in counts.items() if count == 0])
        print(f"{kind}: {len(counts) - len(missing)} of {len(counts)}")
        for place in missing:
            print("   not", *place)


if __name__ == "__main__":
    main()
