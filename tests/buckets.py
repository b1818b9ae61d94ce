"""A server that speaks S3's protocol, with one bucket, for tests that need a store of files."""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import requests
from moto.server import ThreadedMotoServer

REGION = "eu-west-2"


@contextmanager
def s3_server() -> Iterator[str]:
    """Its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    make_bucket(address, "shop")
    yield address
    server.stop()


def make_bucket(address: str, name: str) -> None:
    """One more bucket."""
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    boto3.client("s3", endpoint_url=address, region_name=REGION, **keys).create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION}
    )


def way_to(address: str) -> dict[str, str]:
    """What the operator's guide says to set for a store at this address."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }


class Keys:
    """Who gives keys at a store, and says what they may."""

    def __init__(self, address: str) -> None:
        self._address = address
        given = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
        self._iam: Any = boto3.client("iam", endpoint_url=address, region_name=REGION, **given)

    def new(self) -> dict[str, str]:
        """One more key of the shop, as variables of its environment."""
        with self._unguarded():
            made = self._iam.create_access_key(UserName="shop")["AccessKey"]
        names = ("AccessKeyId", "AWS_ACCESS_KEY_ID"), ("SecretAccessKey", "AWS_SECRET_ACCESS_KEY")
        return {name: made[kind] for kind, name in names}

    def end(self, key: dict[str, str]) -> None:
        """From now on it opens nothing."""
        with self._unguarded():
            self._iam.delete_access_key(UserName="shop", AccessKeyId=key["AWS_ACCESS_KEY_ID"])

    def allow(self, actions: Collection[str]) -> None:
        """What the shop's keys may do in the bucket, and nothing else."""
        places = ["arn:aws:s3:::shop", "arn:aws:s3:::shop/*"]
        allowed = {"Effect": "Allow", "Action": sorted(actions), "Resource": places}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        with self._unguarded():
            self._iam.put_user_policy(UserName="shop", PolicyName="all", PolicyDocument=policy)

    @contextmanager
    def _unguarded(self) -> Iterator[None]:
        self.look_at(after="inf")
        yield
        self.look_at(after="0")

    def look_at(self, after: str) -> None:
        """From so many requests on the store looks at each key, its signature and what it may."""
        data = after.encode()
        requests.post(f"{self._address}/moto-api/reset-auth", data=data, timeout=60)

    @contextmanager
    def guarding(self) -> Iterator["Keys"]:
        """While the store looks at keys, of which the shop's may do everything."""
        self._iam.create_user(UserName="shop")
        self.allow(["s3:*"])
        try:
            yield self
        finally:
            self.look_at(after="inf")
            for kept in self._iam.list_access_keys(UserName="shop")["AccessKeyMetadata"]:
                self._iam.delete_access_key(UserName="shop", AccessKeyId=kept["AccessKeyId"])
            self._iam.delete_user_policy(UserName="shop", PolicyName="all")
            self._iam.delete_user(UserName="shop")
