"""``python -m bench``: measures this Python, stores the results, and renews plots and README.md."""

import sys

from bench import ratios, report, results

if __name__ == "__main__":
    measured, passed = ratios.measure_and_print()
    print(f"\n{results.save(measured, report.ROOT / results.DIRECTORY)}: stored")
    report.write()
    sys.exit(0 if passed else 1)
