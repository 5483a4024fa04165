"""What a docstring says of its function and of each argument."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtsync.pure.docstrings import Documentation, documentation

GOOGLE = """Look it up.

    It takes a while: be patient.

    Args:
        city: The city, e.g.
            Paris.
        unit (str, optional): c or f.
        *rest: Others.
        silent:

    Raises:
        KeyError: city: unknown.

    Example:
        >>> f(1)
"""
NUMPY = """Look it up.

    It takes a while: be patient.

    Parameters
    ----------
    city : str
        The city, e.g.
        Paris.
    unit, scale : str, optional
        c or f.

    Returns
    -------
    dict
        city: The wrong one.
"""
SPHINX = """Look it up.

    It takes a while: be patient.

    :param city: The city, e.g.
        Paris.
    :param str unit: c or f.
    :type city: str
    :returns: what it is
    :raises KeyError: never
"""
EPYDOC = """Look it up.

    It takes a while: be patient.

    @param city: The city, e.g.
        Paris.
    @type city: str
    @param unit: c or f.
    @return: what it is
"""


@pytest.mark.parametrize("docstring", [GOOGLE, NUMPY, SPHINX, EPYDOC], ids=["google", "numpy", "sphinx", "epydoc"])
def test_every_style_is_read(docstring: str) -> None:
    found = documentation(docstring)
    assert found.description == "Look it up.\n\nIt takes a while: be patient."
    assert found.arguments["city"] == "The city, e.g. Paris."
    assert found.arguments["unit"] == "c or f."


def test_numpy_describes_several_arguments_at_once() -> None:
    assert documentation(NUMPY).arguments["scale"] == "c or f."


def test_an_argument_of_which_nothing_is_said_has_no_description() -> None:
    assert "silent" not in documentation(GOOGLE).arguments


@pytest.mark.parametrize("docstring", [None, "", "  \n "])
def test_no_docstring_says_nothing(docstring: str | None) -> None:
    assert documentation(docstring) == Documentation("", {})


@pytest.mark.parametrize(
    "docstring",
    [
        "Look it up.",
        "Return x: the thing",
        "Look it up.\nQuickly: it may\nhang.",
        "Look it up.\n\n* one\n* two: three\n\nNote: nothing else.",
        "Look it up.\n\n:nonsense\n: more",
    ],
)
def test_a_docstring_without_sections_is_description(docstring: str) -> None:
    assert documentation(docstring) == Documentation(docstring, {})


PIECES = [
    "Do it.\n",
    "Args:\n",
    "    x: y\n",
    "    x\n",
    "Parameters\n----------\n",
    "x : int\n",
    ":param\n",
    ":param a b c d: e\n",
    ":x y z: w\n",
    "::\n",
    "@param\n",
    "@type\n",
    "@return:\n",
    "-----\n",
    "    x (: y\n",
    "    default: Defaults to \n",
    "\n",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=20), max_size=8).map("".join))
def test_whatever_stands_there_is_read_without_an_error(docstring: str) -> None:
    assert isinstance(documentation(docstring).description, str)
