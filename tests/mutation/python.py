"""Mutants of the Python modules, made and run by Cosmic Ray; see README.md here.

``python tests/mutation/python.py policy handshake`` works in a copy of the tree and ends with
status 1 where fewer than 95 % are killed, or one survives that equivalents.toml does not explain.
"""

from __future__ import annotations

import ast
import os
import resource
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from cosmic_ray.commands import execute, init
from cosmic_ray.config import ConfigDict
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult
from verdict import Mutant, report

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT = 60.0  # seconds; a mutant may loop for ever
MEMORY = 2 << 30  # bytes; and take memory all the while
EXAMPLES = {"HYPOTHESIS_EXAMPLES": "300", "DIFFERENTIAL_INPUTS": "4000"}

# The tests of each module: those that kill most in little time, and for what is left all others.
BYTES = (
    ["parser", "decisions", "build"],
    ["header", "vectors", "errors", "buffers", "differential"],
)
CONNECTIONS = (["handshake"], ["refusals", "policy", "networks", "settings", "security"])
TESTS = {
    "policy": (["policy", "networks"], ["handshake", "refusals", "settings", "security"]),
    "handshake": CONNECTIONS,
    "_queue": CONNECTIONS,
    "parser": BYTES,
    "_pure": BYTES,
}
# Of the operators that Cosmic Ray knows for each of Python's: the opposite, and beside a bound the
# next one. Most others say the same or nothing at all, such as `|`, `+` and `^` of bytes side by
# side, or `<` between words.
OPERATORS = (
    *("Add_Sub", "Sub_Add", "Mul_FloorDiv", "FloorDiv_Mul", "Div_Mul", "Mod_FloorDiv"),
    *("LShift_RShift", "RShift_LShift", "BitOr_BitAnd", "BitAnd_BitOr", "BitXor_BitAnd"),
    *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is"),
    *("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt"),
)
SEVERAL = ("core/ReplaceBinaryOperator_", "core/ReplaceComparisonOperator_")


class Code(ast.NodeTransformer):
    """Leaves of a module what runs: no annotations, and nothing for type checkers alone."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        if "TYPE_CHECKING" in ast.dump(node.test):
            return node.orelse
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        if "TYPE_CHECKING" in ast.dump(node.targets[0]):
            return None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign([node.target], node.value))

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)


def code_of(source: str) -> str | None:
    """The same for all that runs alike; None for what is no Python."""
    try:
        return ast.dump(Code().visit(ast.parse(source)))
    except SyntaxError:
        return None


def mutated(item: WorkItem, source: str) -> str:
    (mutation,) = item.mutations
    operator = get_operator(mutation.operator_name)()
    found = mutate_code(source, operator, mutation.occurrence)
    assert found is not None
    return str(found)


def mutant_of(module: str, source: str, changed: str) -> Mutant:
    """The lines that differ, without indentation; a mutation keeps all others where they are."""
    before, after = source.splitlines(), changed.splitlines()
    first = next(at for at, pair in enumerate(zip(before, after)) if pair[0] != pair[1])
    shared = 0
    while before[-1 - shared] == after[-1 - shared]:
        shared += 1
    was, now = before[first : len(before) - shared], after[first : len(after) - shared]
    return Mutant(module, first + 1, *["\n".join(map(str.strip, text)) for text in (was, now)])


def choose(database: WorkDB, module: str, source: str) -> dict[str, Mutant]:
    """Skips what is no mutant, or the same as another, and returns the others by job."""
    chosen, seen = {}, {code_of(source), None}
    for item in list(database.pending_work_items):
        if is_wanted(item.mutations[0].operator_name):
            changed = mutated(item, source)
            code = code_of(changed)
            if code not in seen:
                seen.add(code)
                chosen[item.job_id] = mutant_of(module, source, changed)
                continue
        database.set_result(item.job_id, WorkResult(WorkerOutcome.SKIPPED))
    return chosen


def is_wanted(operator: str) -> bool:
    return operator.endswith(OPERATORS) or not operator.startswith(SEVERAL)


def command(module: str) -> str:
    quick = ["-qx", "--assert=plain", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    words = [sys.executable, "-m", "pytest", *quick, "-k", "not cython and not cffi"]
    steps = [[*words, *[f"tests/test_{name}.py" for name in names]] for names in TESTS[module]]
    return shlex.join(["sh", "-c", " && ".join(map(shlex.join, steps))])


def survivors(module: str) -> tuple[int, list[Mutant]]:
    """How many mutants there are, and which of them no test tells from the module."""
    path = Path("fastppv2") / f"{module}.py"
    config = ConfigDict(
        {
            "timeout": TIMEOUT,
            "test-command": command(module),
            "distributor": ConfigDict({"name": "local"}),
        }
    )
    if os.system(config.test_command + " > /dev/null"):
        sys.exit(f"the tests of {module} fail without any mutation: {config.test_command}")
    with use_db(f"{module}.sqlite") as database:
        init([path], database, {})
        chosen = choose(database, module, path.read_text())
        print(f"{module}: {len(chosen)} mutants", flush=True)
        execute(database, config)
        results = dict(database.results)
    left = [job for job in chosen if results[job].test_outcome != TestOutcome.KILLED]
    return len(chosen), [chosen[job] for job in left]


def main(modules: list[str]) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.environ.update(EXAMPLES, FASTPPV2_BACKEND="python")
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory) / "fastppv2"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "__pycache__", "build"))
        os.chdir(tree)
        os.environ["PYTHONPATH"] = str(tree)  # before the one that is installed
        good = [report(module, *survivors(module)) for module in modules or TESTS]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
