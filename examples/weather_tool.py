"""A tool: a function that the model may call, and an answer that knows what it returned.

What:  asks about the weather in three cities; the model calls the function, and answers with what it returned.
Needs: nothing. With an account, the one line that says where to connect becomes another.
Run:   python examples/weather_tool.py
"""

from typing import Any, Literal

import rtsync

target = rtsync.Simulator()  # the real ones: rtsync.OpenAI() or rtsync.Azure(), with what they need in the environment

session = rtsync.RealtimeSession(target, config={"output_modalities": ["text"]})

CELSIUS = {"Oslo": 4.0, "Paris": 16.5, "Tokyo": 21.0}  # a real one would ask a weather service


@session.tool
def get_weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> dict[str, Any]:
    """The weather in a city now.

    Args:
        city: its name, in English.
        unit: of the temperature.
    """
    if city not in CELSIUS:
        raise rtsync.ToolError(f"there is no station in {city}; there are {', '.join(CELSIUS)}")
    degrees = CELSIUS[city] if unit == "celsius" else CELSIUS[city] * 9 / 5 + 32
    return {"city": city, "degrees": degrees, "unit": unit}


@rtsync.tool_finished.connect_via(session)
def show_call(session: rtsync.RealtimeSession, call: rtsync.ToolCall) -> None:
    print(f"[{call.name} of {call.arguments['city']}: {call.error or call.output}]")


with session:
    for question in (
        "Please get weather for Oslo.",
        "And get weather for Paris, in fahrenheit?",
        "get weather of Rome",
    ):
        print("you:", question)
        print("model:", session.ask(question).text)  # the answer that follows from the tools
