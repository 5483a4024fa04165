"""Turns as a page to look at: who spoke when, what was interrupted, where the time went.

One HTML file that holds all it needs: no script, no font, no address. What was said is in it only where the caller
gives it; every word from outside is escaped.

Time runs from left to right. What takes longer than ten seconds and has nothing in it (nobody speaks, nothing is
awaited) is cut out, and said so, because an hour of silence would leave no room for what matters.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from rtsync.pure.turns import ToolSpan, Turn
from rtsync.vocabulary.foreign import one_line

__all__ = ["timeline_page"]

_LANES = ("user", "model", "tools", "beside")
_LEFT, _TOP, _LANE, _BAR = 64, 34, 52, 26  # pixels
_SCALE = 90  # pixels a second
_NARROWEST = 2.0  # pixels of a bar,
_NARROWEST_CUT = 9.0  # of one that is hatched: narrower it cannot be told from an edge,
_LETTER = 6.2  # and of a letter of a label, about
_LONGEST_SILENCE = 10.0  # seconds that are drawn of a time in which nothing happens,
_SHOWN_SILENCE = 1.0  # or else that many
_LONGEST_NAME = 40
_LONGEST_WORDS = 2_000

_STYLE = """
:root{color-scheme:light dark;--ground:#fff;--ink:#1c2024;--dim:#667079;--line:#d5dae0;--user:#2f7d4f;--wait:#c9861a;
--model:#2f64c0;--tool:#8a4bb0;--beside:#7c8894;--cut:#c0362c}
@media (prefers-color-scheme:dark){:root{--ground:#15181c;--ink:#e8eaed;--dim:#9aa4ae;--line:#343b43;--user:#57b27c;
--wait:#e0a545;--model:#6d9cf0;--tool:#bd86dd;--beside:#8c98a4;--cut:#ee6a5f}}
body{font:14px/1.45 system-ui,sans-serif;margin:24px;background:var(--ground);color:var(--ink)}
h1{font-size:20px;margin:0 0 4px}p{color:var(--dim);margin:0 0 16px}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:6px}
svg{display:block}svg text{font:11px system-ui,sans-serif;fill:var(--ink)}svg .dim{fill:var(--dim)}
.tick{stroke:var(--line)}.gap{stroke:var(--dim);stroke-dasharray:2 4}
.user{fill:var(--user)}.wait{fill:var(--wait)}.model{fill:var(--model)}.tool{fill:var(--tool)}.beside{fill:var(--beside)}
.cut{fill:url(#hatch);stroke:var(--cut)}.hatch{stroke:var(--cut)}
.key{display:inline-block;width:12px;height:12px;border-radius:2px;margin:0 5px -1px 0}
.k-user{background:var(--user)}.k-wait{background:var(--wait)}.k-model{background:var(--model)}
.k-tool{background:var(--tool)}.k-beside{background:var(--beside)}
.k-cut{background:repeating-linear-gradient(45deg,var(--cut) 0 2px,transparent 2px 5px)}
.keys{margin-top:8px}.keys>span{white-space:nowrap;margin-right:14px}.table{overflow-x:auto;margin-top:20px}
table{border-collapse:collapse}td,th{white-space:nowrap}
th,td{padding:4px 12px 4px 0;text-align:right;vertical-align:top;
border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums}th{color:var(--dim);font-weight:500}
td.t,th.t{text-align:left}td.w{text-align:left;min-width:12em;max-width:46em;white-space:pre-wrap}
"""

_KEYS = (
    ("user", "user speaks"),
    ("wait", "waiting for the answer"),
    ("model", "model answers"),
    ("cut", "interrupted"),
    ("tool", "functions, and tools of MCP servers"),
    ("beside", "beside the conversation"),
)


class _Bar(msgspec.Struct, frozen=True):
    """Something that takes time, in a lane."""

    lane: str
    kind: str
    start: float
    end: float
    label: str
    tip: str


def timeline_page(turns: Iterable[Turn], *, title: str = "Timeline", said: Mapping[str, str] | None = None) -> str:
    """An HTML page that draws ``turns``: a lane each for user, model and tools, and a table of the times.

    ``Path("out.html").write_text(timeline_page(session.turns), encoding="utf-8")``

    Green is the user's speech, amber the wait from its end to the first audio (or text), blue the answer: from its
    first sample played to its last where a speaker has told (``session.note_played``), else from the first delta to the
    end of the response, which comes faster than it is spoken. What was interrupted is hatched. A turn of text has no
    speech: its wait begins with ``response.create``.

    Args:
        turns: those of one session, or of sessions in one process: ``session.turns``.
        title: of the page.
        said: by the id of an item, what was said in it, to stand in the table. Without it no word of the conversation
            is in the page.

    Returns:
        The page, which holds all that it needs and refers to nothing.
    """
    listed = sorted(turns, key=_order)
    bars = [bar for number, turn in enumerate(listed, 1) for bar in _bars(number, turn)]
    heading = html.escape(one_line(title))
    return "".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            f"<title>{heading}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{heading}</h1>\n",
            f"<p>{_summary(listed)}</p>\n",
            _drawing(bars) if bars else "<p>Nothing has happened yet.</p>\n",
            _table(listed, said) if listed else "",
            "</body>\n</html>\n",
        )
    )


# -- what there is to draw ---------------------------------------------------------------------------------------------


def _bars(number: int, turn: Turn) -> Iterator[_Bar]:
    yield from _speech(number, turn)
    start, begun, end = turn.input_ended_at, _begins(turn), _ends(turn)
    for call in turn.tools:
        yield _call(call)
    if turn.response_id is None or start is None:
        return
    waited = begun if begun is not None else end
    if waited > start:
        what = _seconds(waited - start) + (", no words" if begun is None else "")
        tip = f"Turn {number}: waited {_seconds(waited - start)}"
        kind = "beside" if turn.out_of_band else "wait"
        yield _Bar("beside" if turn.out_of_band else "model", kind, start, waited, what if kind == "wait" else "", tip)
    if begun is not None:
        yield from _answer(number, turn, begun, max(begun, end))


def _speech(number: int, turn: Turn) -> Iterator[_Bar]:
    start, end = turn.speech_started_at, turn.speech_ended_at
    if start is not None:
        end = end if end is not None else turn.heard_at if turn.heard_at is not None else start
        tip = f"Turn {number}: the user spoke for {_seconds(end - start)}"
        yield _Bar("user", "user", start, end, _seconds(end - start), tip)
    elif turn.asked_at is not None and not turn.out_of_band:
        yield _Bar("user", "user", turn.asked_at, turn.asked_at, "", f"Turn {number}: asked in text, or by the program")


def _answer(number: int, turn: Turn, begun: float, end: float) -> Iterator[_Bar]:
    lane = "beside" if turn.out_of_band else "model"
    cut = turn.interrupted_at
    whole = end if cut is None else min(max(cut, begun), end)
    status = _status(turn)
    label = f"{number} · {_seconds(whole - begun)}"
    yield _Bar(lane, lane, begun, whole, label, f"Turn {number}: {status}, {_seconds(whole - begun)}")
    if cut is not None:
        heard = "" if turn.heard_ms is None else f", {turn.heard_ms} ms heard"
        yield _Bar(lane, "cut", whole, max(end, whole), "", f"Turn {number}: interrupted{heard}")


def _call(call: ToolSpan) -> _Bar:
    end = call.called_at if call.answered_at is None else call.answered_at
    name = one_line(call.name or "function", _LONGEST_NAME)
    return _Bar("tools", "tool", call.called_at, end, name, f"{name}: {_seconds(end - call.called_at)}")


def _begins(turn: Turn) -> float | None:
    """When the answer was first there: to be heard, else to be read."""
    if turn.played_at is not None:
        return turn.played_at
    if turn.first_audio_at is not None:
        return turn.first_audio_at
    return _first(turn.first_text_at, turn.first_transcript_at)


def _ends(turn: Turn) -> float:
    """When the last of the answer was there, as far as that is known."""
    ends = (turn.silent_at, turn.done_at, turn.interrupted_at)
    known = [moment for moment in (*ends, _begins(turn), turn.created_at) if moment is not None]
    return max(known, default=turn.input_ended_at or 0.0)


def _first(*moments: float | None) -> float | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _order(turn: Turn) -> float:
    found = _first(turn.speech_started_at, turn.input_ended_at, turn.done_at)
    return 0.0 if found is None else found


# -- the drawing -------------------------------------------------------------------------------------------------------


class _Axis:
    """Moments as pixels, without the long times in which nothing happens."""

    def __init__(self, bars: list[_Bar]) -> None:
        self.gaps: list[tuple[float, float]] = []  # Where in the drawing, and seconds that are left out.
        self._pieces: list[tuple[float, float]] = []  # From a moment on, seconds left out before it.
        left_out, reached = min(bar.start for bar in bars), min(bar.start for bar in bars)
        self._pieces.append((reached, left_out))
        for bar in sorted(bars, key=lambda bar: bar.start):
            if bar.start - reached > _LONGEST_SILENCE:
                more = bar.start - reached - _SHOWN_SILENCE
                self.gaps.append((reached - left_out + _SHOWN_SILENCE / 2, more))
                left_out += more
                self._pieces.append((bar.start, left_out))
            reached = max(reached, bar.end)
        self.seconds = reached - left_out

    def at(self, moment: float) -> float:
        """Pixels of a moment at which something happens."""
        left_out = next(left_out for start, left_out in reversed(self._pieces) if start <= moment)
        return self.along(moment - left_out)

    def along(self, seconds: float) -> float:
        """Pixels of a place in the drawing."""
        return _LEFT + seconds * _SCALE


def _drawing(bars: list[_Bar]) -> str:
    axis = _Axis(bars)
    lanes = [lane for lane in _LANES if lane in ("user", "model") or any(bar.lane == lane for bar in bars)]
    height, width = _TOP + _LANE * len(lanes), axis.along(axis.seconds) + 80
    parts = [
        f'<div class="scroll"><svg width="{width:.0f}" height="{height}" viewBox="0 0 {width:.0f} {height}" role="img"'
        ' aria-label="Who spoke when">\n<defs><pattern id="hatch" width="6" height="6" patternTransform="rotate(45)"'
        ' patternUnits="userSpaceOnUse"><line class="hatch" x1="0" y1="0" x2="0" y2="6" stroke-width="3"/></pattern>'
        "</defs>\n",
        *_grid(axis, height),
        *(_lane_name(lane, index) for index, lane in enumerate(lanes)),
        *(_drawn(bar, axis, lanes.index(bar.lane)) for bar in sorted(bars, key=_depth)),
        *_labels(bars, axis, lanes),
        "</svg></div>\n",
        '<div class="keys">',
        *(
            f'<span><span class="key k-{kind}"></span>{name}</span> '
            for kind, name in _KEYS
            if any(bar.kind == kind for bar in bars)
        ),
        "</div>\n",
    ]
    return "".join(parts)


def _grid(axis: _Axis, height: int) -> Iterator[str]:
    for second in range(int(axis.seconds) + 2):
        x = axis.along(second)
        yield f'<line class="tick" x1="{x:.1f}" y1="22" x2="{x:.1f}" y2="{height}"/>'
        yield f'<text class="dim" x="{x:.1f}" y="16" text-anchor="middle">{second} s</text>\n'
    for place, left_out in axis.gaps:
        x = axis.along(place)
        yield f'<line class="gap" x1="{x:.1f}" y1="22" x2="{x:.1f}" y2="{height}"/>'
        yield f'<text class="dim" x="{x:.1f}" y="32" text-anchor="middle">{left_out:.0f} s left out</text>\n'


def _lane_name(lane: str, index: int) -> str:
    return f'<text x="8" y="{_TOP + index * _LANE + _BAR / 2 + 4:.0f}">{lane}</text>\n'


def _drawn(bar: _Bar, axis: _Axis, lane: int) -> str:
    x, y = axis.at(bar.start), _TOP + lane * _LANE
    width = max(_NARROWEST_CUT if bar.kind == "cut" else _NARROWEST, (bar.end - bar.start) * _SCALE)
    return (
        f'<rect class="{bar.kind}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2">'
        f"<title>{html.escape(bar.tip)}</title></rect>\n"
    )


def _depth(bar: _Bar) -> int:
    """A wait lies behind the answers, one of which may still be heard meanwhile; what is cut off lies in front."""
    return {"wait": 0, "cut": 2}.get(bar.kind, 1)


def _labels(bars: list[_Bar], axis: _Axis, lanes: list[str]) -> Iterator[str]:
    """Beneath its bar, where a short one leaves room for it, and a wait beneath the answer that follows.

    One for which another label leaves no room is left out: it stands in the bar's tip, too.
    """
    reached: dict[int, float] = {}
    for bar in sorted((bar for bar in bars if bar.label), key=lambda bar: bar.start):
        x, y = axis.at(bar.start), _TOP + lanes.index(bar.lane) * _LANE + _BAR + (22 if bar.kind == "wait" else 11)
        if x >= reached.get(y, 0.0):
            reached[y] = x + _LETTER * len(bar.label) + 4
            yield f'<text x="{x:.1f}" y="{y}">{html.escape(bar.label)}</text>\n'


# -- the table ---------------------------------------------------------------------------------------------------------

_COLUMNS = ("turn", "speech", "to text", "to audio", "to played", "answer", "heard")


def _table(turns: list[Turn], said: Mapping[str, str] | None) -> str:
    names = "".join(f"<th>{name}</th>" for name in _COLUMNS) + '<th class="t">how it ended</th>'
    words = "" if said is None else '<th class="t">user</th><th class="t">model</th>'
    rows = "".join(_row(number, turn, said) for number, turn in enumerate(turns, 1))
    head, body = f"<thead><tr>{names}{words}</tr></thead>", f"<tbody>\n{rows}</tbody>"
    return f'<div class="table"><table>\n{head}\n{body}\n</table></div>\n'


def _row(number: int, turn: Turn, said: Mapping[str, str] | None) -> str:
    begun = _begins(turn)
    cells = (
        str(number),
        _span(turn.speech_started_at, turn.speech_ended_at),
        _known(turn.to_text),
        _known(turn.to_audio),
        _known(turn.to_played),
        _span(begun, None if begun is None else _ends(turn)),
        "" if turn.heard_ms is None else _seconds(turn.heard_ms / 1000),
    )
    plain = "".join(f"<td>{cell}</td>" for cell in cells)
    words = "" if said is None else f"{_words(said, turn.user_item_id)}{_words(said, *turn.item_ids)}"
    return f'<tr>{plain}<td class="t">{html.escape(_status(turn))}</td>{words}</tr>\n'


def _words(said: Mapping[str, str], *item_ids: str | None) -> str:
    joined = "\n".join(filter(None, (said.get(item_id) for item_id in item_ids if item_id is not None)))
    return f'<td class="w">{html.escape(_readable(joined[:_LONGEST_WORDS]))}</td>'


def _readable(text: str) -> str:
    """Without what is no character of HTML: controls, and halves of pairs."""
    return "".join(each for each in text if each.isprintable() or each in "\n\t")


def _status(turn: Turn) -> str:
    if turn.status is None:
        return "not answered"
    cut = "interrupted" if turn.status == "completed" and turn.interrupted_at is not None else None
    parts = (turn.status.replace("_", " "), turn.reason, cut, "beside the conversation" if turn.out_of_band else None)
    return one_line(", ".join(part for part in parts if part), 100)


def _summary(turns: list[Turn]) -> str:
    counted = f"{len(turns)} turn{'' if len(turns) == 1 else 's'}"
    told = [counted, *_median("first text", turns, lambda turn: turn.to_text)]
    told += _median("first audio", turns, lambda turn: turn.to_audio)
    told += _median("first sample played", turns, lambda turn: turn.to_played)
    cut = sum(turn.interrupted_at is not None for turn in turns)
    return " · ".join([*told, *([f"{cut} interrupted"] if cut else [])])


def _median(name: str, turns: list[Turn], of: Callable[[Turn], float | None]) -> Iterator[str]:
    spans = sorted(span for turn in turns if not turn.out_of_band and (span := of(turn)) is not None)
    if spans:
        yield f"{name} after {_seconds(spans[len(spans) // 2])} (median), {_seconds(spans[-1])} (longest)"


def _span(start: float | None, end: float | None) -> str:
    return "" if start is None or end is None else _seconds(max(0.0, end - start))


def _known(span: float | None) -> str:
    return "" if span is None else _seconds(span)


def _seconds(span: float) -> str:
    return f"{span * 1000:.0f} ms" if span < 0.9995 else f"{span:.2f} s"
