"""The value of PYTHONMANHOLE is read as literals and nothing in it is evaluated."""

from pathlib import Path

import pytest

from manhole._startup import parse_value


@pytest.mark.parametrize(
    ("value", "options"),
    [
        ("", {}),
        (" ", {}),
        ("verbose=False", {"verbose": False}),
        ('oneshot_on="USR2", verbose=False,', {"oneshot_on": "USR2", "verbose": False}),
        ("start_timeout=-1.5", {"start_timeout": -1.5}),
        ("locals={'a': [1, (2, None)], 'b': {3}}", {"locals": {"a": [1, (2, None)], "b": {3}}}),
        ("socket_path='/tmp/('", {"socket_path": "/tmp/("}),
        ("verbose=False,\nstrict=True  # for now", {"verbose": False, "strict": True}),
    ],
)
def test_literals(value, options):
    assert parse_value(value) == options


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("verbose=", ""),  # said in other words by each Python
        ("verbose False", "syntax"),
        ("False", "False has no name"),
        ("*[1]", "*[1] has no name"),
        ("x for x in y", "has no name"),
        ("verbose:=False", "has no name"),
        ("**{'verbose': False}", "**{'verbose': False} cannot be given"),
        ("verbose=False, verbose=True", "verbose is given twice"),
        ("verbose=print", "verbose=print is no literal"),
        ("verbose=print(1)", "verbose=print(1) is no literal"),
        ("verbose=not 1", "verbose=not 1 is no literal"),
        ("socket_path=f'/tmp/{1}'", "is no literal"),
        ("locals={'a': os}", "is no literal"),
        ("locals={[]}", "is no literal"),
        (")(verbose=False", "unmatched ')'"),
        ("verbose=False) or f(", "unmatched ')'"),
        ("verbose=False), f(", "unmatched ')'"),
        ("verbose=False)#", "unmatched ')'"),
        ("verbose=" + "-" * 500 + "1", "is no literal"),
        ("locals=[" + "x," * 5000 + "]", "is no literal"),
        ("verbose=" + "(" * 10_000, ""),
        ("verbose=" + "-" * 100_000 + "1", ""),
        ("socket_path='\udcff'", "can't encode"),
    ],
)
def test_a_mistake_says_what_is_wrong_and_what_is_allowed(value, says):
    with pytest.raises(ValueError, match="allowed are options") as caught:
        parse_value(value)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_nothing_is_evaluated(tmp_path: Path):
    with pytest.raises(ValueError, match="is no literal"):
        parse_value(f"locals={{'file': open({str(tmp_path / 'evaluated')!r}, 'w')}}")
    assert not (tmp_path / "evaluated").exists()
