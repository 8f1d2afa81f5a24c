"""A score as JUnit's XML, which every CI server shows: a case for each incident."""

from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from api.backtest.matching import FalseAlarm, Finding
from api.score.report import Report, Scored
from api.score.saying import (
    clock,
    false_alarm_in_words,
    miss_in_words,
    subject_of,
    subject_of_alarm,
)
from api.text import Texts, plain

FALSE_ALARMS = "false alarms"


def junit(scored: Scored, say: Texts) -> bytes:
    """Return the document. A suite for each class of incident, and one for false alarms."""
    report = scored.report
    root = Element("testsuites", name="chargewatch score")
    for kind in dict.fromkeys(each.incident.kind for each in scored.found.findings):
        findings = [each for each in scored.found.findings if each.incident.kind == kind]
        _suite(root, kind, findings, scored, say)
    _false_alarms(root, report, scored.found.false, say)
    root.set("tests", str(sum(int(suite.get("tests", "0")) for suite in root)))
    root.set("failures", str(sum(int(suite.get("failures", "0")) for suite in root)))
    indent(root)
    document: bytes = tostring(root, "utf-8", xml_declaration=True)
    return document + b"\n"


def _suite(
    root: Element, kind: str, findings: Iterable[Finding], scored: Scored, say: Texts
) -> None:
    suite, failures = SubElement(root, "testsuite", name=plain(kind)), 0
    misses = {id(miss.incident): miss for miss in scored.found.missed}
    forbidden = {id(each.near): each for each in scored.found.false if each.near is not None}
    for number, finding in enumerate(findings, start=1):
        incident = finding.incident
        case = SubElement(
            suite,
            "testcase",
            classname=f"chargewatch.{plain(kind)}",
            name=f"{subject_of(incident)} {incident.begins:%Y-%m-%dT%H:%M:%SZ}",
            time=f"{finding.delay_s or 0:.3f}",
        )
        miss, banned = misses.get(id(incident)), forbidden.get(id(incident))
        if miss is not None:
            _fail(case, "missed", miss_in_words(miss, say))
        elif banned is not None and not incident.expected_rules:
            _fail(case, "false alarm", false_alarm_in_words(banned, say))
        failures += miss is not None or len(case) > 0
        suite.set("tests", str(number))
    suite.set("failures", str(failures))


def _false_alarms(
    root: Element, report: Report, false: Iterable[FalseAlarm], say: Texts
) -> None:
    """Add one case: are there more than are allowed? All of them are listed."""
    rate, allowed = report.score.false_alarms_per_site_week, report.false_alarms_allowed
    suite = SubElement(root, "testsuite", name=FALSE_ALARMS, tests="1")
    wanted = "any number" if allowed is None else f"at most {allowed:g} a site-week"
    case = SubElement(suite, "testcase", classname="chargewatch.false_alarms", name=wanted)
    failed = allowed is not None and (rate or 0.0) > allowed
    if failed:
        _fail(case, "too many", f"{rate:g} a site-week in {report.score.site_weeks:g}")
    suite.set("failures", str(int(failed)))
    listed = [
        f"{clock(each.episode.fired_at)} {plain(each.episode.rule)}"
        f" {subject_of_alarm(each.episode)}: {false_alarm_in_words(each, say)}"
        for each in false
    ]
    SubElement(case, "system-out").text = "\n".join(listed)


def _fail(case: Element, kind: str, words: str) -> None:
    SubElement(case, "failure", type=kind, message=words)
