"""How an InfluxDB 2 is set up: by its API, with a token that may do anything in it."""

from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.domain.authorization import Authorization
from influxdb_client.domain.bucket import Bucket
from influxdb_client.domain.bucket_retention_rules import BucketRetentionRules
from influxdb_client.domain.dbrp_create import DBRPCreate
from influxdb_client.domain.permission import Permission
from influxdb_client.domain.permission_resource import PermissionResource
from influxdb_client.rest import ApiException
from influxdb_client.service.dbr_ps_service import DBRPsService

from ingest.influx_http import InfluxHttp
from ingest.influx_roles import LONG_SHARD, Role, shard_of
from ingest.measurements import LONG, Kept

READINGS_POLICY = "autogen"
"""How InfluxQL knows the bucket of the readings: as the retention policy that is meant if
none is named. InfluxDB would choose the same name by itself."""

FOR_EVER_S = 0


class Setup2:
    """Two buckets, the names by which InfluxQL knows them, and a token for each role."""

    def __init__(self, http: InfluxHttp) -> None:
        self._http = http
        self._address = http.address

    def places(self, keep: timedelta) -> Iterator[str]:
        """See `Setup`."""
        keep_s = keep // timedelta(seconds=1)
        kept = f"readings are kept {keep.days} days"
        yield self._http.tried(
            lambda client: self._bucket(client, Kept.READINGS, keep_s, shard_of(keep), kept)
        )
        kept = "facts are kept for ever"
        yield self._http.tried(
            lambda client: self._bucket(client, Kept.LONG, FOR_EVER_S, LONG_SHARD, kept)
        )
        yield self._http.tried(self._names)

    def token(self, role: Role) -> str:
        """See `Setup`."""
        return self._http.tried(lambda client: self._token(client, role))

    def _bucket(
        self, client: InfluxDBClient, kept: Kept, keep_s: int, shard: timedelta, words: str
    ) -> str:
        name = self._address.bucket(kept)
        rules = BucketRetentionRules(
            type="expire",
            every_seconds=keep_s,
            shard_group_duration_seconds=shard // timedelta(seconds=1),
        )
        bucket = self._found(client, kept)
        if bucket is None:
            client.buckets_api().create_bucket(
                bucket_name=name, retention_rules=rules, org=self._address.org
            )
            return f"bucket {name}: made; {words}"
        kept_s = [rule.every_seconds for rule in bucket.retention_rules or ()]
        if (kept_s or [FOR_EVER_S]) == [keep_s]:
            return f"bucket {name}: as it should be; {words}"
        bucket.retention_rules = [rules]
        client.buckets_api().update_bucket(bucket)
        return f"bucket {name}: {words} from now on"

    def _names(self, client: InfluxDBClient) -> str:
        """Say by which database and retention policy InfluxQL finds the buckets."""
        service = DBRPsService(client.api_client)
        wanted = ((Kept.READINGS, READINGS_POLICY, True), (Kept.LONG, LONG, False))
        for kept, policy, default in wanted:
            bucket = self._existing(client, kept)
            known = service.get_dbr_ps(org=self._address.org, db=self._address.database)
            if (bucket.id, policy, default) not in (
                (each.bucket_id, each.retention_policy, bool(each.default))
                for each in known.content or ()
            ):
                service.post_dbrp(
                    DBRPCreate(
                        org=self._address.org,
                        bucket_id=bucket.id,
                        database=self._address.database,
                        retention_policy=policy,
                        default=default,
                    )
                )
        return f"InfluxQL: database {self._address.database}, retention policy {LONG}"

    def _token(self, client: InfluxDBClient, role: Role) -> str:
        buckets = [self._existing(client, kept) for kept in Kept]
        org_id = buckets[0].org_id
        actions = ("read", "write") if role is Role.SERVICE else ("read",)
        permissions = [
            _permission(action, "buckets", org_id, bucket.id)
            for bucket in buckets
            for action in actions
        ]
        # InfluxQL looks up by which names the buckets are known.
        permissions.append(_permission("read", "dbrp", org_id))
        asked = Authorization(
            org_id=org_id,
            permissions=permissions,
            description=f"chargewatch {role} ({self._address.database})",
        )
        made: str = client.authorizations_api().create_authorization(authorization=asked).token
        return made

    def _existing(self, client: InfluxDBClient, kept: Kept) -> Bucket:
        bucket = self._found(client, kept)
        if bucket is None:  # it has just been made or found
            raise ApiException(status=HTTPStatus.NOT_FOUND, reason="bucket not found")
        return bucket

    def _found(self, client: InfluxDBClient, kept: Kept) -> Bucket | None:
        name = self._address.bucket(kept)
        try:
            found = client.buckets_api().find_buckets(name=name, org=self._address.org)
        except ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return next((each for each in found.buckets or () if each.name == name), None)


def _permission(action: str, kind: str, org_id: str, id_: str | None = None) -> Permission:
    resource = PermissionResource(type=kind, id=id_, org_id=org_id)
    return Permission(action=action, resource=resource)
