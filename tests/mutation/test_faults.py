"""The mutator: its faults of a small function, and that the list of explained survivors speaks of faults that exist."""

import ast

from tests.mutation.__main__ import EXPLAINED, TESTS, parsed
from tests.mutation.faults import Fault, faults

SOURCE = '''
LIMIT = 5

class Purse:
    def take(self, amount: int = 3, *, names: tuple[str, ...] = ()) -> int:
        """Words."""
        if not 0 < amount <= LIMIT and names:
            raise ValueError(f"{amount + 1} is too much")
        self.left -= amount
        check(amount)
        match names:
            case ():
                return None
        return self.left + 1
'''
EXPECTED = [
    "if not [0 < amount <= LIMIT and names: → (not 0 < amount <= LIMIT and names):]",
    "if [not 0 < amount <= LIMIT and  → ]names:",
    "if not 0 < amount <= LIMIT[ and names → ]:",
    "if not 0 < amount <= LIMIT [and → or] names:",
    "if [not  → ]0 < amount <= LIMIT and names:",
    "if not [0 → 1] < amount <= LIMIT and names:",
    "if not [0 → -1] < amount <= LIMIT and names:",
    "if not 0 [< → <=] amount <= LIMIT and names:",
    "if not 0 < amount [<= → <] LIMIT and names:",
    "raise ValueError(f'{amount + 1} is too much') [dropped]",
    "self.left -= amount [dropped]",
    "self.left [-= → +=] amount",
    "check(amount) [dropped]",
    "case [[]: → [] if False:]",
    "return [self.left + 1 → None]",
    "return self.left [+ → -] 1",
    "return self.left + [1 → 2]",
    "return self.left + [1 → 0]",
]


def test_each_fault_changes_the_tree_and_is_taken_back() -> None:
    tree = ast.parse(SOURCE)
    before, found, seen = ast.dump(tree), list[Fault](), set[str]()
    for fault in faults("purse.py", tree):
        compile(tree, "purse.py", "exec")
        found.append(fault)
        seen.add(ast.dump(tree))
    assert ast.dump(tree) == before
    assert before not in seen
    assert len(seen) == len(found)
    assert [fault.text for fault in found] == EXPECTED
    assert {(fault.module, fault.place) for fault in found} == {("purse.py", "Purse.take")}
    assert [fault.key for fault in faults("purse.py", tree)] == [fault.key for fault in found]


def test_explained_survivors_are_faults_that_exist() -> None:
    lines = [line for line in EXPLAINED.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    keys = [line.rpartition(" | ")[0] for line in lines]
    assert len(set(keys)) == len(keys)
    assert all(line.rpartition(" | ")[2].strip() for line in lines)
    modules = {key.partition(" ")[0] for key in keys}
    assert modules <= set(TESTS)
    existing = {fault.key for module in modules for fault in faults(module, parsed(module))}
    gone = sorted(set(keys) - existing)
    assert gone == [], "their code has changed: remove them, or run `make mutants` and explain what it prints"
