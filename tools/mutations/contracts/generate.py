"""In slither's own environment: what slither-mutate would change in a contract, as JSON on stdout.

`generate.py SOURCE CONTRACT MODULES SOLC`; offsets are of bytes, as solc counts.
"""

import json
import sys
from pathlib import Path
from typing import Any

from crytic_compile import CryticCompile
from crytic_compile.platform.solc_standard_json import SolcStandardJson
from slither import Slither
from slither.tools.mutator.mutators import all_mutators
from slither.tools.mutator.mutators.abstract_mutator import AbstractMutator


def main() -> None:
    source, name, modules, solc = sys.argv[1:]
    target = SolcStandardJson()
    target.add_source_file(source)
    target.add_remapping(f"@openzeppelin/={modules}/@openzeppelin/")
    unit = Slither(CryticCompile(target, solc=solc)).compilation_units[0]
    (contract,) = [contract for contract in unit.contracts if contract.name == name]
    patches = []
    for operator in vars(all_mutators).values():
        if isinstance(operator, type) and issubclass(operator, AbstractMutator) and operator is not AbstractMutator:
            patches += _patches(operator, unit, contract)
    json.dump(patches, sys.stdout)


def _patches(operator: Any, unit: Any, contract: Any) -> list[dict[str, object]]:
    mutator = operator(unit, 1, "", None, contract, None, False, Path(), [])
    try:
        found = mutator._mutate().get("patches", {})  # noqa: SLF001 - its public one runs the tests, too
    except IndexError as error:  # as slither-mutate itself does, which goes on without the operator
        print(f"{operator.NAME}: {error}", file=sys.stderr)
        return []
    return [
        {"operator": operator.NAME, "start": patch["start"], "end": patch["end"], "new": patch["new_string"]}
        for patches in found.values()
        for patch in patches
    ]


if __name__ == "__main__":
    main()
