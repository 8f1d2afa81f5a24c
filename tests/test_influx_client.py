import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from ingest.history import HistoryUnavailable
from ingest.influx_client import LINES_MAX, InfluxAddress, InfluxClient, open_client
from ingest.influx_history import InfluxHistory
from ingest.influx_http import TRIES
from ingest.influx_queries import Params
from ingest.influx_writing import SPLITS_MAX, Losses, Rejection, write
from ingest.influxql import StatementRefused, bind, read_answer
from ingest.measurements import Kept
from tests.influx_double import Answer, Answers, InfluxDouble, Request, influx_double

TOKEN = "a-secret-that-nobody-may-see"
LINE = b"m a=1 1"


def taken(_: object) -> Answer:
    return Answer()


def said(double: InfluxDouble, work: Callable[[InfluxClient], object]) -> None:
    """Do something with a client of the double's."""

    async def play() -> None:
        address = InfluxAddress(url=double.url, database="db", org="o", token=TOKEN)
        async with open_client(address) as client:
            await work(client)  # type: ignore[misc]

    asyncio.run(play())


def writing(answers: Answers, lines: Sequence[bytes] = (LINE,)) -> InfluxDouble:
    with influx_double(answers) as double:
        said(double, lambda client: client.write(Kept.READINGS, lines))
        return double


# --- What is sent ---------------------------------------------------------------------------


def test_a_write_says_bucket_organisation_precision_and_token_and_is_packed() -> None:
    [request] = writing(taken, [LINE, b"", LINE]).requests
    assert (request.method, request.path) == ("POST", "/api/v2/write")
    assert request.query == {"bucket": "db", "org": "o", "precision": "ns"}
    assert request.headers["Authorization"] == f"Token {TOKEN}"
    assert request.headers["Content-Encoding"] == "gzip"
    assert request.body == b"m a=1 1\nm a=1 1"


def test_facts_go_to_the_bucket_that_keeps_for_long() -> None:
    with influx_double(taken) as double:
        said(double, lambda client: client.write(Kept.LONG, [LINE]))
        assert double.requests[0].query["bucket"] == "db/long"


def test_many_lines_go_in_several_requests_and_none_in_no_request() -> None:
    requests = writing(taken, [LINE] * (2 * LINES_MAX + 1)).requests
    assert [each.body.count(b"\n") + 1 for each in requests] == [LINES_MAX, LINES_MAX, 1]
    assert writing(taken, [b""]).requests == []


# --- What the server cannot do now -----------------------------------------------------------


def test_a_server_in_trouble_is_asked_again_and_then_it_goes_on() -> None:
    answers = iter([Answer(503, {"error": "busy"}), Answer(429), Answer()])
    assert len(writing(lambda _: next(answers)).requests) == TRIES


@pytest.mark.parametrize(
    ("answer", "tries", "words"),
    [
        (Answer(500, {"error": "timeout"}), TRIES, "HTTP 500: timeout"),
        (Answer(503), TRIES, "HTTP 503"),
        (Answer(429, {"message": "slow down"}), TRIES, "HTTP 429: slow down"),
        (Answer(401, {"message": "unauthorized"}), 1, "does not accept the token"),
        (Answer(403, {"error": "no write permission"}), 1, "no write permission"),
        (Answer(404, {"message": 'bucket "db" not found'}), 1, "history setup"),
        (Answer(404, {"error": 'database not found: "db"'}), 1, "history setup"),
        (Answer(500, {"error": "retention policy not found: long"}), 1, "history setup"),
        (Answer(302), 1, "HTTP 302"),
    ],
)
def test_what_is_no_lines_fault_is_a_history_that_is_unavailable(
    answer: Answer, tries: int, words: str
) -> None:
    with influx_double(lambda _: answer) as double:
        with pytest.raises(HistoryUnavailable, match=words) as raised:
            said(double, lambda client: client.write(Kept.READINGS, [LINE]))
        assert len(double.requests) == tries
        assert TOKEN not in str(raised.value)


def test_nobody_there_is_a_history_that_is_unavailable() -> None:
    with influx_double(taken) as double:
        pass
    for work in (
        lambda client: client.write(Kept.READINGS, [LINE]),
        lambda client: client.query("SELECT 1"),
    ):
        with pytest.raises(HistoryUnavailable, match=double.url):
            said(double, work)


def test_a_closed_client_does_nothing_more() -> None:
    with influx_double(taken) as double:

        async def play(client: InfluxClient) -> None:
            client.close()
            client.close()
            with pytest.raises(HistoryUnavailable, match="closed"):
                await client.write(Kept.READINGS, [LINE])

        said(double, play)
        assert double.requests == []


def test_an_address_does_not_show_its_token() -> None:
    address = InfluxAddress(url="http://x", database="db", token=TOKEN)
    assert TOKEN not in f"{address!r} {address}"


# --- Lines that are refused for good ---------------------------------------------------------


class Server:
    """Takes lines but bad ones; if not `partial`, none of a batch with a bad one."""

    def __init__(self, *, partial: bool, reason: str = "field type conflict") -> None:
        self.lines: set[bytes] = set()
        self.requests = 0
        self._partial, self._reason = partial, reason

    def __call__(self, lines: Sequence[bytes]) -> Rejection | None:
        self.requests += 1
        good = {line for line in lines if b"bad" not in line}
        if len(good) == len(lines):
            self.lines |= good
            return None
        if self._partial:
            self.lines |= good
        dropped = len(lines) - len(good)
        return Rejection(
            f"partial write: {self._reason} dropped={dropped}"
            if self._partial
            else self._reason
        )


@pytest.mark.parametrize("partial", [True, False])
@pytest.mark.parametrize("bad", [{0}, {499}, {7, 8, 250}, set(range(0, 100, 3))])
def test_a_line_that_is_refused_is_found_and_all_others_are_kept(
    bad: set[int], *, partial: bool
) -> None:
    lines = [(b"bad %d" if n in bad else b"good %d") % n for n in range(500)]
    server, losses = Server(partial=partial), Losses()
    with capture_logs() as logs:
        write(lines, server, losses)
    assert server.lines == {line for line in lines if b"good" in line}
    assert losses.refused == len(bad)
    assert "field type conflict" in losses.reason
    assert {each["line"] for each in logs} == {f"bad {n}" for n in bad}
    assert server.requests <= 2 * len(bad) * 10 + 1


def test_a_server_that_takes_nothing_at_all_is_unavailable_and_nothing_is_given_up() -> None:
    losses = Losses()
    with pytest.raises(HistoryUnavailable, match="refuses every line"):
        write([b"bad"] * 1000, Server(partial=True), losses)
    assert losses == Losses()


def test_a_flood_of_refused_lines_is_counted_without_looking_for_each() -> None:
    lines = [b"bad %d" % n for n in range(4000)] + [b"good %d" % n for n in range(96)]
    server, losses = Server(partial=True), Losses()
    with capture_logs():
        write(lines, server, losses)
    assert len(server.lines) == 96
    assert losses.refused == 4000
    assert server.requests < 3 * SPLITS_MAX


@pytest.mark.parametrize(
    "reason",
    [
        "partial write: points beyond retention policy dropped=3",
        (
            "failure writing points to database: partial write: dropped 3 points outside"
            " retention policy of duration 24h0m0s - oldest point device,device=dropped\\ 9 at"
            " 2026-01-05T08:00:00Z dropped because it violates a Retention Policy Lower Bound"
        ),
    ],
)
def test_points_that_are_too_old_for_the_retention_are_no_loss(reason: str) -> None:
    losses = Losses()
    with capture_logs() as logs:
        write([LINE] * 10, lambda _: Rejection(reason), losses)
    assert losses == Losses(expired=3)
    assert logs == []


@pytest.mark.parametrize(
    "name",
    [
        "x points beyond retention policy dropped=0",
        "bucket x not found",
        "partial write: points beyond retention policy dropped=1",
    ],
)
def test_what_a_device_is_called_does_not_change_what_a_refusal_means(name: str) -> None:
    reason = (
        f'partial write: max-values-per-tag limit exceeded (9/9): tag="device" value="{name}"'
        " dropped=1"
    )
    answer = Answer(400, {"error": reason})
    losses = Losses()

    async def play(double: InfluxDouble) -> None:
        address = InfluxAddress(url=double.url, database="db", org="o")
        async with open_client(address, losses) as client:
            await client.write(Kept.READINGS, [LINE])

    with influx_double(lambda _: answer) as double, capture_logs():
        asyncio.run(play(double))
    assert losses == Losses(refused=1, reason=reason)


def test_a_partial_write_of_the_first_influxdb_2_says_500_and_is_one_all_the_same() -> None:
    message = (
        "unexpected error writing points to database: partial write: points beyond retention"
        " policy dropped=1"
    )
    answer = Answer(500, {"code": "internal error", "message": message})
    assert len(writing(lambda _: answer).requests) == 1


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_line_is_logged_with_its_place_in_the_journal(status: int) -> None:
    line = b"socket,device=x entry=7i,position=3i,power_w=1 1"
    answer = Answer(status, {"message": "no, thank you"})
    with influx_double(lambda _: answer) as double, capture_logs() as logs:
        said(double, lambda client: client.write(Kept.READINGS, [line]))
    assert [each["line"] for each in logs] == [line.decode()]
    assert [each["reason"] for each in logs] == ["no, thank you"]


def test_where_nothing_can_be_deleted_retention_has_to_do() -> None:
    def answers(request: Request) -> Answer:
        if b"DELETE" in request.body:
            return Answer(200, {"results": [{"error": "DELETE is not supported"}]})
        series = {"name": "socket", "columns": ["time", "count"], "values": [[0, 5]]}
        return Answer(200, {"results": [{"series": [series]}]})

    async def play(client: InfluxClient) -> None:
        assert await InfluxHistory(client).forget(datetime(2026, 1, 5, tzinfo=UTC)) == 0

    with influx_double(answers) as double, capture_logs() as logs:
        said(double, play)
    assert [each["event"] for each in logs] == ["influx.forgets_by_retention_only"]


# --- Questions and answers -------------------------------------------------------------------


def test_values_are_bound_where_their_names_stand_and_nowhere_else() -> None:
    at = datetime(2026, 1, 5, 8, tzinfo=UTC)
    params: Params = {"device": "$at '", "at": at, "n": 3, "x": 0.5}
    statement = "SELECT a FROM b WHERE d = $device AND time < $at AND n = $n AND x > $x"
    assert bind(statement, params) == (
        "SELECT a FROM b WHERE d = '$at \\'' AND time < 1767600000000000000 AND n = 3"
        " AND x > 0.5"
    )


@pytest.mark.parametrize("year", [1, 1600, 9999])
def test_a_moment_beyond_what_influxdb_knows_is_its_first_or_last(year: int) -> None:
    bound = bind("$at", {"at": datetime(year, 1, 1, tzinfo=UTC)})
    assert abs(int(bound)) < 2**63
    assert (int(bound) < 0) is (year < 1970)


def test_a_long_series_that_comes_in_pieces_is_one() -> None:
    pieces = [
        b'{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","a"],'
        b'"values":[[%d,1],[%d,2]]%s}]}]}' % (n, n + 1, b',"partial":true' if n < 5 else b"")
        for n in (1, 3, 5, 7)
    ]
    found = read_answer(b"\n".join(pieces) + b"\n")
    assert [[row[0] for row in each.values] for each in found] == [[1, 2, 3, 4, 5, 6], [7, 8]]


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b'{"results":[{"error":"database not found: x"}]}', HistoryUnavailable, "setup"),
        (b'{"results":[{"error":"DELETE is not allowed"}]}', StatementRefused, "DELETE"),
        (b'{"error":"error parsing query"}', StatementRefused, "parsing"),
        (b"<html>a proxy's page", HistoryUnavailable, "none of an InfluxDB's"),
    ],
)
def test_an_error_in_an_answer_is_raised_in_the_servers_words(
    body: bytes, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        read_answer(body)
