"""The ways of telling people: each is walked up to the door, and nobody is told anything."""

import asyncio
import ssl

import aiosmtplib

from api.channels import one_line
from api.doctor.certificates import endpoint_of, judge_certificate, reached, reason_of
from api.doctor.finding import Finding, found
from api.doctor.patient import Patient
from api.settings import Settings, SmtpSettings
from ingest.mqtt_visit import ends_at

SMTP_TIMEOUT_S = 4.0


async def check_channels(patient: Patient) -> list[Finding]:
    settings = patient.settings
    webhook, mail = await asyncio.gather(_webhook(patient), _mail(patient))
    if not _anybody_is_told(settings):
        return [found("channels", "only_log"), *webhook, *mail]
    return [found("channels", "fine"), *webhook, *mail]


def _anybody_is_told(settings: Settings) -> bool:
    return any(
        (
            settings.webhook.url,
            settings.smtp.host and settings.smtp.recipients,
            settings.dingtalk.url,
            settings.wecom.url,
            settings.feishu.url,
            settings.ntfy.url,
            settings.sms.url,
            settings.voice.url,
            settings.publish.topic,
            settings.alertmanager.url,
            settings.apprise.urls,
        )
    )


async def _webhook(patient: Patient) -> list[Finding]:
    url = patient.settings.webhook.url
    if url is None:
        return [found("webhook", "none")]
    endpoint = endpoint_of(url, ssl.create_default_context())
    host = f"{endpoint.host}:{endpoint.port}"  # the rest of the address may hold a token
    try:
        until = await reached(endpoint)
    except ssl.SSLError as error:
        return [found("webhook", "untrusted", host=host, reason=reason_of(error))]
    except OSError as error:
        return [found("webhook", "unreachable", host=host, reason=reason_of(error))]
    return [found("webhook", "fine", host=host), *judge_certificate(host, until, patient.now)]


async def _mail(patient: Patient) -> list[Finding]:
    smtp = patient.settings.smtp
    if smtp.host is None:
        return [found("mail", "none")]
    host = f"{smtp.host}:{smtp.port}"
    if not smtp.recipients:
        return [found("mail", "nobody", host=host)]
    client = _client(smtp)
    try:
        await client.connect()
        if smtp.username and smtp.password is not None:
            await client.login(smtp.username, smtp.password.get_secret_value())
        await client.noop()
        tls = client.get_transport_info("ssl_object")
        until = None if tls is None else ends_at(tls)
        await client.quit()
    except aiosmtplib.SMTPResponseException as error:
        reason = f"SMTP {error.code}: {one_line(error.message)}"
        return [found("mail", "refused", host=host, reason=reason)]
    except (aiosmtplib.SMTPException, OSError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error
        outcome = "untrusted" if isinstance(cause, ssl.SSLError) else "unreachable"
        return [found("mail", outcome, host=host, reason=one_line(reason_of(cause)))]
    finally:
        client.close()
    return [found("mail", "fine", host=host), *judge_certificate(host, until, patient.now)]


def _client(smtp: SmtpSettings) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(
        hostname=smtp.host,
        port=smtp.port,
        use_tls=smtp.security == "tls",
        start_tls=smtp.security == "starttls",
        tls_context=ssl.create_default_context(),
        timeout=SMTP_TIMEOUT_S,
    )
