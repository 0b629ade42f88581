"""The figures of a report: each a chart, the numbers behind it, and a sentence where one is needed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from lorasim.course import Course, Frame
from lorasim.metrics import percentile
from lorasim.reasons import reason
from lorasim.report.charts import Axis, Bar, Series, bars, columns, lines
from lorasim.report.words import Words
from regional import Plan, PlanError, plan

BINS = 30
HOUR_US = 3_600_000_000
MOST_BARS = 12
MOST_MARKS = 60
CURVE = 40
"""A distribution is drawn with so many points."""


@dataclass(slots=True)
class Figure:
    """One chart of the page."""

    title: str
    svg: str
    note: str = ""
    head: Sequence[str] = ()
    rows: list[Sequence[str]] = field(default_factory=list)
    legend: Sequence[str] = ()
    """Names of the series, in the order of their colours."""


@dataclass(slots=True)
class _Way:
    """How far a frame came: its word, and whether this one came so far."""

    word: str
    came: Callable[[Frame], bool]


def figures(course: Course, words: Words) -> list[Figure]:
    """All figures that this run has something to show in."""
    made = [
        _delivery_over_time(course, words),
        _delivery_by_sf(course, words),
        _unheard(course, words),
        _downlinks(course, words),
        _latency(course, words),
        _joins(course, words),
        _join_times(course, words),
        _adr_mix(course, words),
        _adr_device(course, words),
        _gateway_airtime(course, words),
        _device_airtime(course, words),
        _energy(course, words),
        _tx_ack(course, words),
    ]
    return [figure for figure in made if figure is not None]


def _ways(course: Course) -> list[_Way]:
    ways = [
        _Way("heard by a gateway", lambda frame: frame.copies > 0),
        _Way("acknowledged", lambda frame: frame.promised_us is not None or frame.streamed),
    ]
    return (
        [*ways, _Way("given to the application", lambda frame: frame.events > 0)] if course.events is not None else ways
    )


def _bins(course: Course) -> tuple[float, int]:
    """Length in seconds and number of the pieces of time."""
    seconds = max(course.duration_s, 1.0)
    count = max(1, min(BINS, int(seconds // 5)))
    return seconds / count, count


def _binned(course: Course) -> tuple[float, list[list[Frame]]]:
    length, count = _bins(course)
    pieces: list[list[Frame]] = [[] for _ in range(count)]
    for frame in course.frames:
        pieces[min(count - 1, int((frame.t - course.start_us) / 1e6 / length))].append(frame)
    return length, pieces


def _time_axis(course: Course, words: Words) -> Axis:
    """Time since the start, with dashes where the scenario did something (as far as they can be told apart)."""
    marks = [((t - course.start_us) / 1e6, what) for t, what in course.timeline[:MOST_MARKS]]
    return Axis("", 0.0, max(course.duration_s, 1.0), text=words.duration, time=True, marks=marks)


def _delivery_over_time(course: Course, words: Words) -> Figure | None:
    if not course.frames:
        return None
    length, pieces = _binned(course)
    ways, title = _ways(course), words("Delivery over time")
    series = [
        Series(words(way.word), [
            (length * (n + 0.5), sum(map(way.came, piece)) / len(piece)) for n, piece in enumerate(pieces) if piece
        ])
        for way in ways
    ]  # fmt: skip
    worst = min(share for one in series for _, share in one.points)
    axis = Axis(low=min(0.9, int(worst * 10) / 10), high=1.0, text=lambda share: words.per_cent(share, 0))
    rows = [
        (
            words.duration(length * n),
            words.number(len(piece)),
            *(words.number(sum(map(way.came, piece))) for way in ways),
        )
        for n, piece in enumerate(pieces)
        if piece
    ]
    note = words("share of all devices' frames of that time")
    head = [words("time"), words("data frames"), *(words(way.word) for way in ways)]
    legend = [one.name for one in series]
    return Figure(title, lines(title, series, _time_axis(course, words), axis), note, head, rows, legend)


def _delivery_by_sf(course: Course, words: Words) -> Figure | None:
    by_sf: dict[int, list[Frame]] = defaultdict(list)
    for frame in course.frames:
        if frame.sf:
            by_sf[frame.sf].append(frame)
    if not by_sf:
        return None
    ways, title = _ways(course), words("Delivery by spreading factor")
    found = sorted(by_sf.items())
    series = [
        Series(words(way.word), [(n, sum(map(way.came, frames)) / len(frames)) for n, (_, frames) in enumerate(found)])
        for way in ways
    ]
    svg = columns(
        title, [f"SF{sf}" for sf, _ in found], series, Axis(high=1.0, text=lambda share: words.per_cent(share, 0))
    )
    rows = [
        (
            f"SF{sf}",
            words.number(len(frames)),
            *(words.per_cent(sum(map(way.came, frames)) / len(frames)) for way in ways),
        )
        for sf, frames in found
    ]
    names = [words(way.word) for way in ways]
    return Figure(title, svg, "", ["", words("data frames"), *names], rows, names)


def _counted(title: str, counts: Iterable[tuple[str, int, int]], words: Words) -> Figure | None:
    """Lying bars of (label, number, colour), the greatest first."""
    found = [one for one in counts if one[1]]
    if not found:
        return None
    total = sum(n for _, n, _ in found)
    shown = [
        Bar(label, n, f"{words.number(n)} · {words.per_cent(n / total)}", colour)
        for label, n, colour in found[:MOST_BARS]
    ]
    rest = len(found) - len(shown)
    note = words("and {n} more", n=rest) if rest else ""
    rows = [(label, words.number(n)) for label, n, _ in found]
    return Figure(title, bars(title, shown), note, ["", words("value")], rows)


def _unheard(course: Course, words: Words) -> Figure | None:
    counted = Counter(why for _, _, why in course.unheard)
    return _counted(words("Why uplinks went unheard"), ((words(why), n, 3) for why, n in counted.most_common()), words)


def _downlinks(course: Course, words: Words) -> Figure | None:
    heard: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for downlink in course.radiated:
        if downlink.kind == "beacon":
            continue
        if downlink.heard:
            heard[downlink.window] += 1
        else:
            missed[reason(downlink.why)] += 1
    refused = missed.pop("refused", 0)
    rows = [(f"{words('heard in')} {window}", n, 2) for window, n in heard.most_common()]
    rows += [(f"{words('missed')}: {words(why)}", n, 1) for why, n in missed.most_common()]
    rows += [(words("refused"), refused, 3)]
    return _counted(words("Downlinks"), rows, words)


def _tx_ack(course: Course, words: Words) -> Figure | None:
    rows = sorted(course.tx_ack.items(), key=lambda one: -one[1])
    return _counted(
        words("Answers of gateways (TX_ACK)"), ((why, n, 2 if why == "NONE" else 3) for why, n in rows), words
    )


def _curve(values: Sequence[float]) -> list[tuple[float, float]]:
    """A distribution: (value, share that is not above it)."""
    shares = [n / CURVE for n in range(1, CURVE + 1)]
    return [(percentile(values, share) or 0.0, share) for share in shares]


def _latency(course: Course, words: Words) -> Figure | None:
    told = [f for f in course.frames if f.event_us is not None and f.pushed_us is not None]
    kinds = {
        words("PUSH_ACK"): [delay / 1000 for _, delay in course.ack_us],
        words("PULL_RESP"): [delay / 1000 for _, delay, _ in course.answer_us],
        words("application"): [((f.event_us or 0) - (f.pushed_us or 0)) / 1000 for f in told],
    }
    found = {name: values for name, values in kinds.items() if values}
    if not found:
        return None
    title = words("Latency")
    svg = lines(
        title,
        [Series(name, _curve(values)) for name, values in found.items()],
        Axis("ms", text=lambda ms: f"{ms:g}", log=True),
        Axis(low=0.0, high=1.0, text=lambda share: words.per_cent(share, 0)),
    )
    at = (0.5, 0.95, 0.99, 1.0)
    rows = [
        (name, words.number(len(values)), *(words.number(percentile(values, share) or 0.0, 1) for share in at))
        for name, values in found.items()
    ]
    note = words("share that took at most so long")
    return Figure(title, svg, note, ["ms", "n", "50\u00a0%", "95\u00a0%", "99\u00a0%", "max"], rows, list(found))


def _joins(course: Course, words: Words) -> Figure | None:
    if not course.joins:
        return None
    title = words("Joins")
    length, count = _bins(course)
    ends = [length * (n + 1) for n in range(count)]

    def grown(times: Sequence[int]) -> list[tuple[float, float]]:
        ordered = sorted((t - course.start_us) / 1e6 for t in times)
        return [(0.0, 0.0), *((end, float(sum(t <= end for t in ordered))) for end in ends)]

    asked = grown([join.t for join in course.joins for _ in range(join.requests)])
    done = grown([join.joined_us for join in course.joins if join.joined_us is not None])
    axis = Axis(low=0.0, text=words.number, whole=True)
    svg = lines(
        title, [Series(words("requests"), asked), Series(words("sessions"), done)], _time_axis(course, words), axis
    )
    rows = [(words.duration(t), words.number(n), words.number(m)) for (t, n), (_, m) in zip(asked, done, strict=True)]
    names = [words("requests"), words("sessions")]
    return Figure(title, svg, "", [words("time"), *names], rows, names)


def _join_times(course: Course, words: Words) -> Figure | None:
    took = [(join.joined_us - join.t) / 1e6 for join in course.joins if join.joined_us is not None]
    if not took:
        return None
    title = words("How long joins took")
    svg = lines(
        title,
        [Series("", _curve(took))],
        Axis(words("seconds"), low=0.0, text=lambda s: words.number(s, 0 if s >= 10 else 1)),
        Axis(low=0.0, high=1.0, text=lambda share: words.per_cent(share, 0)),
    )
    rows = [
        (words.per_cent(share, 0), words.number(percentile(took, share) or 0.0, 1)) for share in (0.5, 0.9, 0.95, 1.0)
    ]
    return Figure(title, svg, words("share that took at most so long"), ["", words("seconds")], rows)


def _adr_mix(course: Course, words: Words) -> Figure | None:
    factors = sorted({frame.sf for frame in course.frames if frame.sf})
    if not factors:
        return None
    title = words("Spreading factors over time")
    length, pieces = _binned(course)
    series = [
        Series(
            f"SF{sf}", [(length * (n + 0.5), sum(f.sf == sf for f in p) / len(p)) for n, p in enumerate(pieces) if p]
        )
        for sf in factors
    ]
    axis = Axis(low=0.0, high=1.0, text=lambda share: words.per_cent(share, 0))
    rows = [
        (words.duration(length * n), *(words.number(sum(f.sf == sf for f in piece)) for sf in factors))
        for n, piece in enumerate(pieces)
        if piece
    ]
    head = [words("time"), *(f"SF{sf}" for sf in factors)]
    svg = lines(title, series, _time_axis(course, words), axis)
    return Figure(title, svg, words("data frames"), head, rows, head[1:])


def _adr_device(course: Course, words: Words) -> Figure | None:
    device = max(course.devices.values(), key=lambda one: len(one.steps), default=None)
    if device is None or len(device.steps) < 2:
        return None
    title = words("Course of ADR")
    end = max(course.duration_s, 1.0)

    def course_of(values: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [*values, (end, values[-1][1])]

    at = [((t - course.start_us) / 1e6, sf, power) for t, sf, power in device.steps]
    series = [
        Series(words("spreading factor"), course_of([(t, float(sf)) for t, sf, _ in at]), steps=True),
        Series(words("power, dBm"), course_of([(t, power) for t, _, power in at]), steps=True),
    ]
    axis = Axis(low=0.0, high=max(20.0, *(power for *_, power in at)), whole=True)
    rows = [(words.duration(t), f"SF{sf}", words.number(power, 1)) for t, sf, power in at]
    note = f"{words('the device that changed most')}: {device.dev_eui}"
    head = [words("time"), words("spreading factor"), words("power, dBm")]
    svg = lines(title, series, _time_axis(course, words), axis)
    return Figure(title, svg, note, head, rows, head[1:])


def _busiest_hour(spans: Sequence[tuple[int, int]]) -> float:
    """The largest share of any hour that (start, airtime) in µs take."""
    ordered, first, total, most = sorted(spans), 0, 0, 0
    for t, airtime in ordered:
        total += airtime
        while ordered[first][0] <= t - HOUR_US:
            total -= ordered[first][1]
            first += 1
        most = max(most, total)
    return most / HOUR_US


def _plan(course: Course) -> Plan | None:
    try:
        return plan(str(course.run.get("region", "")))
    except PlanError:
        return None


def _airtime(
    title: str,
    note: str,
    course: Course,
    words: Words,
    spans: Iterable[tuple[str, int, int, int]],
    who: Callable[[str], str],
) -> Figure | None:
    """Time on air by sub-band: the busiest hour of each sender in ``spans`` (sender, frequency, time, airtime)."""
    region = _plan(course)
    if region is None:
        return None
    found: dict[tuple[str, int, int, float], list[tuple[int, int]]] = defaultdict(list)
    for sender, frequency_hz, t, airtime in spans:
        band = region.sub_band(frequency_hz)
        edges = (band.min_hz, band.max_hz, band.duty_cycle) if band else (frequency_hz, frequency_hz, 1.0)
        found[(sender, *edges)].append((t, airtime))
    hours = [(key, _busiest_hour(times), sum(a for _, a in times)) for key, times in found.items()]
    hours.sort(key=lambda one: (-one[1], one[0]))
    shown, rows = [], []
    for (sender, low, high, duty), share, total in hours:
        label = f"{who(sender)} {low / 1e6:g}–{high / 1e6:g} MHz".strip()
        limit = duty if duty < 1 else None
        text = words.per_cent(share, 2)
        shown.append(Bar(label, share, text, 3 if limit and share > limit else 0, limit))
        allowed = words.per_cent(duty, 1) if limit else "–"
        rows.append((label, text, allowed, words.number(total / 1e6, 1)))
    if not shown:
        return None
    head = ["", words("max / h"), words("limit"), words("s")]
    return Figure(title, bars(title, shown[:MOST_BARS]), words(note), head, rows)


def _gateway_airtime(course: Course, words: Words) -> Figure | None:
    spans = ((d.gateway, d.frequency_hz, d.t, d.airtime_us) for d in course.radiated)
    note = "the mark is the limit of the sub-band; the busiest hour of the run"
    title = words("Airtime of gateways by sub-band")
    return _airtime(title, note, course, words, spans, lambda eui: f"{course.gateways.get(eui) or eui} ·")


def _device_airtime(course: Course, words: Words) -> Figure | None:
    """Of each sub-band only the busiest device: of a town nobody reads them all."""
    region = _plan(course)
    if region is None:
        return None
    used: Counter[tuple[str, int]] = Counter()
    for _, dev_eui, frequency_hz, airtime in course.sent:
        band = region.sub_band(frequency_hz)
        used[dev_eui, band.min_hz if band else frequency_hz] += airtime
    busiest: dict[int, str] = {}
    for (dev_eui, low), _ in used.most_common():
        busiest.setdefault(low, dev_eui)
    spans = [
        (dev_eui, frequency_hz, t, airtime)
        for t, dev_eui, frequency_hz, airtime in course.sent
        if busiest.get(band.min_hz if (band := region.sub_band(frequency_hz)) else frequency_hz) == dev_eui
    ]
    note = "the busiest device of each sub-band; the mark is the limit; the busiest hour of the run"
    return _airtime(words("Airtime of devices by sub-band"), note, course, words, spans, lambda eui: f"{eui} ·")


def _energy(course: Course, words: Words) -> Figure | None:
    spent: dict[str, list[float]] = defaultdict(list)
    for frame in course.frames:
        if frame.energy_mj:
            spent[frame.dev_eui].append(frame.energy_mj)
    means = sorted((sum(values) / len(values), eui) for eui, values in spent.items())
    if not means:
        return None
    title = words("Energy of devices")
    low, high = means[0][0], means[-1][0]
    count = max(1, min(16, len(means)))
    width = (high - low) / count or 1.0
    numbers = Counter(min(count - 1, int((mean - low) / width)) for mean, _ in means)
    labels = [words.number(low + width * n, 0 if high >= 20 else 1) for n in range(count)]
    series = [Series("", [(n, float(numbers[n])) for n in range(count)])]
    svg = columns(title, labels, series, Axis(text=words.number), words("mJ a data frame"))
    rows = [(eui, words.number(mean, 1), words.number(len(spent[eui]))) for mean, eui in reversed(means[-MOST_BARS:])]
    radio = words("a radio of the SX1272's kind at 3.3 V; listening of class B and C is not in it")
    note = f"{words('number of devices')}; {radio}"
    return Figure(title, svg, note, [words("device"), words("mJ a data frame"), words("data frames")], rows)
