"""`rtsync chat --tool`: functions of the user's own, what is told of their calls, and what is asked before."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest

from rtsync.cli.tools import loaded
from rtsync.simulator import SimulatorServer
from tests.cli.command import Terminal, run
from tests.cli.test_chat import openai

SHOP = '''
import time
from rtsync import Tool, ToolContext, ToolError

NOT_CALLABLE = 5


def price(item: str, count: int = 1) -> str:
    """What an item costs."""
    return f"{count} {item}: {count * 5} euros"


def broken() -> None:
    """Fail."""
    raise LookupError("no such shelf")


def count_stock(context: ToolContext) -> str:
    """Count what is there."""
    context.report("half of it")
    return "42 pieces"


def wait_for_ever(context: ToolContext) -> str:
    """Wait."""
    context.wait(60)
    context.check()
    return "never"


def refuse(call: object) -> str:
    return "the shop is closed"


closed = Tool(price, name="closed", approval=refuse)


def wrong(*arguments: int) -> None: ...
'''


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `shop.py`, and one from which another runs."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "shop.py"
    path.write_text(SHOP, encoding="utf-8")
    return path


@pytest.mark.parametrize("where", ["shop:price", "shop.py:price", "{path}:price"])
def test_a_function_is_called_and_what_is_called_is_told(where: str, shop: Path, simulator: SimulatorServer) -> None:
    where = where.format(path=shop)
    ended = run("chat", "--tool", where, typed='The price of 3 "teas"?\n', **openai(simulator))
    assert ended.status == 0, ended.err
    assert ended.out.startswith("The function answered: “3 teas: 15 euros”.")
    called, lasted = ended.err.splitlines()
    assert called == 'rtsync: price(item="teas", count=3)'
    assert lasted.startswith("rtsync: price: 0.")
    assert lasted.endswith(" s")


def test_several_tools_may_be_given_also_by_a_variable(shop: Path, simulator: SimulatorServer) -> None:
    ended = run(
        "chat",
        typed="price of “tea”, and count stock\n",
        RTSYNC_CHAT_TOOL="shop:price shop.py:count_stock",
        **openai(simulator),
    )
    assert "5 euros" in ended.out
    assert "42 pieces" in ended.out
    assert "rtsync: count_stock: half of it" in ended.err.splitlines()


def test_a_tool_that_fails_says_why_and_the_conversation_goes_on(shop: Path, simulator: SimulatorServer) -> None:
    ended = run("chat", "--tool", "shop:broken", typed="broken\nhello\n", **openai(simulator))
    assert ended.status == 0
    assert "no such shelf" not in ended.out
    assert ended.out.splitlines()[1].startswith("You said: “hello”.")
    assert "rtsync: broken raised LookupError: no such shelf" in ended.err.splitlines()
    assert "Traceback" not in ended.err


def test_a_tool_keeps_its_own_approval(shop: Path, simulator: SimulatorServer) -> None:
    ended = run("chat", "--tool", "shop:closed", typed="closed “tea”\n", **openai(simulator))
    assert "the shop is closed" in ended.out
    assert "rtsync: closed: denied: " in ended.err


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("shop", "'shop' is not module:function or path/to/file.py:function"),
        (":price", "is not module:function"),
        ("shop:", "is not module:function"),
        ("shop:nothing", "there is no 'nothing' in shop"),
        ("nowhere:price", "nowhere:price cannot be imported (ModuleNotFoundError: No module named 'nowhere')"),
        ("./nowhere.py:price", "there is no file 'nowhere.py'"),
        ("failing:x", "failing:x cannot be imported (ZeroDivisionError: division by zero)"),
        ("./failing.py:x", "./failing.py:x cannot be imported (ZeroDivisionError: division by zero)"),
        ("leaving:x", "leaving:x cannot be imported (SystemExit: 3)"),
        ("shop:wrong", "shop:wrong cannot be declared: tool wrong: a model cannot fill *args"),
        ("shop:NOT_CALLABLE", "shop:NOT_CALLABLE cannot be declared: "),
    ],
)
def test_what_cannot_be_a_tool_is_refused(where: str, told: str, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    shop.with_name("failing.py").write_text("1 / 0\n")
    shop.with_name("leaving.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(click.BadParameter) as refused:
        loaded((where,))
    assert told in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["chat", "--tool", "shop:nothing"], "Invalid value for '--tool': there is no 'nothing' in shop"),
        (["chat", "--tool", "shop:price", "--tool", "shop.py:price"], "two tools of the name 'price'"),
        (["talk", "--input", "virtual", "--output", "virtual", "--tool", "shop:wrong"], "cannot be declared"),
        (["chat", "--tool", "shop:price", "--approve"], "--approve asks at the terminal"),
    ],
    ids=["unknown", "twice", "talk", "nobody to ask"],
)
def test_what_is_wrong_is_said_in_one_line(arguments: list[str], told: str, shop: Path) -> None:
    ended = run(*arguments, "--target", "simulator", typed="price\n")
    assert ended.status == 2
    assert told in ended.complaint


def test_the_simulator_says_when_it_calls_a_tool(shop: Path) -> None:
    with Terminal("chat", "--target", "simulator", "--tool", "shop:price", "--tool", "shop:broken") as screen:
        assert "it calls the tools that you name: price, broken" in screen.read_until("> ")
        screen.ctrl_d()
        assert screen.wait() == 0


# -- approval ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("y", "1 tea: 5 euros"),
        ("n", "not approved"),
        ("", "not approved"),
        ("too expensive", "not made: too expensive"),
    ],
)
def test_approve_asks_before_each_call(answer: str, said: str, shop: Path, simulator: SimulatorServer) -> None:
    with Terminal("chat", "--tool", "shop:price", "--approve", **openai(simulator)) as screen:
        screen.read_until("> ")
        screen.type("The price of “tea”?")
        screen.read_until('price(item="tea")? y, n, or why not: ')
        screen.type(answer)
        assert said in screen.read_until("\n> ")
        screen.ctrl_d()
        assert screen.wait() == 0


def test_ctrl_c_at_a_question_comes_back_to_the_prompt(shop: Path, simulator: SimulatorServer) -> None:
    with Terminal("chat", "--tool", "shop:price", "--approve", **openai(simulator)) as screen:
        screen.read_until("> ")
        screen.type("The price of “tea”?")
        screen.read_until("why not: ")
        screen.ctrl_c()
        assert "cancelled" in screen.read_until("\n> ")
        screen.type("hello")
        assert "You said: “hello”." in screen.read_until("\n> ")
        screen.ctrl_d()
        assert screen.wait() == 0


def test_ctrl_c_ends_a_tool_that_runs(shop: Path, simulator: SimulatorServer) -> None:
    with Terminal("chat", "--tool", "shop:wait_for_ever", **openai(simulator)) as screen:
        screen.read_until("> ")
        screen.type("wait for ever")
        screen.read_until("wait_for_ever()")
        screen.ctrl_c()
        screen.read_until("once more leaves")
        screen.type("hello")  # The output of the call may come behind that, and the brain answers what is last.
        screen.type("hello again")
        screen.read_until("You said: “hello again”.")
        screen.read_until("\n> ")
        screen.ctrl_d()
        assert screen.wait() == 0
