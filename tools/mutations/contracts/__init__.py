"""`make mutations-contracts`: the same for the executor's Solidity, all its mutants, judged by tests/contracts.

slither-mutate makes most of them (`generate.py`, in an environment of its own). In two ways it falls short here: its
operator for comparisons fails on this contract (IndexError where a statement holds a comparison in an operand) and all
mutants of it are gone; and it takes no modifier away, and no argument out of `Math.min`. `operators.py` does. Each
mutant is compiled with the compiler and settings of the committed bytecode (`compile.js`); a warning is no obstacle.
"""
