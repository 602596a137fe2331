"""Mutants of the Python modules, made by Cosmic Ray; see README.md here."""

from __future__ import annotations

import ast
import os
import shutil
import sys
import tempfile
from compileall import compile_dir
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import MutationSpec
from trial import main, passes
from verdict import Mutant

ROOT = Path(__file__).resolve().parent.parent.parent
# Seconds, of which the tests of a module take three or four, and KiB: a mutant may loop for ever
# and take memory all the while.
LIMITS = "ulimit -t 20 && ulimit -v 2097152"
PYTEST = [
    *(sys.executable, "-m", "pytest", "-qx", "--assert=plain", "-p", "no:cacheprovider"),
    *("--hypothesis-seed=0", "-k", "not cython and not cffi"),
]
ENVIRONMENT = {
    "FASTPPV2_BACKEND": "python",
    "HYPOTHESIS_EXAMPLES": "300",
    "DIFFERENTIAL_INPUTS": "4000",
    # A mutant as long as the last one, made in the same second, would be taken for that one.
    "PYTHONDONTWRITEBYTECODE": "1",
}

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


def mutated(mutation: MutationSpec, source: str) -> str:
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


def mutants_of(module: str) -> list[tuple[Mutant, str]]:
    """But for what is no mutant, or the same as another."""
    source = path_of(ROOT, module).read_text()
    mutants, seen = [], {code_of(source), None}
    with tempfile.TemporaryDirectory() as name, use_db(Path(name) / "mutants.sqlite") as database:
        init([path_of(ROOT, module)], database, {})
        mutations = [item.mutations[0] for item in database.work_items]
    for mutation in sorted(mutations, key=lambda each: (each.operator_name, each.occurrence)):
        if not is_wanted(mutation.operator_name):
            continue
        changed = mutated(mutation, source)
        code = code_of(changed)
        if code not in seen:
            seen.add(code)
            mutants.append((mutant_of(module, source, changed), changed))
    return mutants


def is_wanted(operator: str) -> bool:
    return operator.endswith(OPERATORS) or not operator.startswith(SEVERAL)


def path_of(tree: Path, module: str) -> Path:
    return tree / "fastppv2" / f"{module}.py"


class Bench:
    """A copy of the tree, compiled but for the module that is changed."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "__pycache__", "build"))
        compile_dir(tree / "fastppv2", quiet=1)
        compile_dir(tree / "tests", quiet=1)
        self.sound: set[str] = set()

    def verdict(self, mutant: Mutant, text: str) -> str:
        if mutant.file not in self.sound:
            assert self.passes(mutant.file), f"{mutant.file}: tests fail without any mutation"
            self.sound.add(mutant.file)
        path = path_of(self.tree, mutant.file)
        path.write_text(text)
        passed = self.passes(mutant.file)
        shutil.copy2(path_of(ROOT, mutant.file), path)
        return "left" if passed else "killed"

    def passes(self, module: str) -> bool:
        environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(self.tree)}
        return all(
            passes(LIMITS, *PYTEST, *paths(names), cwd=self.tree, env=environment)
            for names in TESTS[module]
        )


def paths(names: list[str]) -> list[str]:
    return [f"tests/test_{name}.py" for name in names]


def benches(directory: Path, count: int) -> list[Bench]:
    return [Bench(directory / f"tree{number}") for number in range(count)]


if __name__ == "__main__":
    sys.exit(main(__doc__, list(TESTS), mutants_of, benches))
