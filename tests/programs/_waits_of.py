"""What every unit of this process waits for."""

import dataclasses

import manhole


def waits_of_units():
    """By the unit's ident. Call it from a thread of its own."""
    units = manhole.snapshot(samples=1).units
    return {unit.ident: dataclasses.asdict(unit.wait) for unit in units if unit.wait is not None}
