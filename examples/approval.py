"""Approval in the terminal: a tool that moves money, and a person who is asked before it does.

What:  asks for two transfers, and asks you before each: y, n, or why not, which the model is told.
Needs: nothing. With an account, the one line that says where to connect becomes another. Where nobody can be asked
       (stdin is no terminal) it is a no.
Run:   python examples/approval.py
"""

import sys

import rtsync

target = rtsync.Simulator()  # the real ones: rtsync.OpenAI() or rtsync.Azure(), with what they need in the environment


def transfer_money(recipient: str, amount: float) -> str:
    """Transfer an amount of euros to somebody."""
    return f"{amount:.2f} euros are on their way to {recipient}"


def ask_me(call: rtsync.ToolCall) -> bool | str:
    """Asked in a thread of the tools, before the function runs; it may take any time."""
    print(f"{call.name}: {call.arguments['amount']} euros to {call.arguments['recipient']}?", end=" ", flush=True)
    if not sys.stdin.isatty():
        print("[nobody to ask]")
        return "nobody is there to be asked"
    answer = input("y, n, or why not: ").strip()
    return answer == "y" or (answer not in ("", "n") and answer)


tools = [rtsync.Tool(transfer_money, approval=ask_me)]
with rtsync.RealtimeSession(target, config={"output_modalities": ["text"]}, tools=tools) as session:
    for wish in ("Please transfer money to Ada, 20 euros.", "And transfer money to Bob: 1000 euros!"):
        print("you:", wish)
        print("model:", session.ask(wish, timeout=None).text)
