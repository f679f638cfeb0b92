"""moto's S3 server, on a real socket; one for each process of tests."""

import atexit
import functools
import itertools
import logging

import boto3
from dlt.common.configuration.specs import AwsCredentials
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
_NUMBERS = itertools.count()


class S3:
    """A running server."""

    def __init__(self):
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._downloaded = {}
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self._client = boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id="key", aws_secret_access_key="secret", region_name=REGION
        )

    def new_bucket(self):
        """Name of a new, empty bucket."""
        name = f"bucket-{next(_NUMBERS)}"
        self._client.create_bucket(Bucket=name)
        return name

    def keys(self, bucket):
        """Key of each object, and a mark of its content."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {one["Key"]: one["ETag"] for page in pages for one in page.get("Contents", ())}

    def download(self, bucket, folder):
        """All objects as files below a folder; what has not changed since the last time is not asked for again."""
        now, before = self.keys(bucket), self._downloaded.get(bucket, {})
        for key in before.keys() - now.keys():
            (folder / key).unlink()
        for key in [key for key, mark in now.items() if before.get(key) != mark and not key.endswith("/")]:
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            self._client.download_file(bucket, key, str(folder / key))
        self._downloaded[bucket] = {key: mark for key, mark in now.items() if not key.endswith("/")}
        return folder

    def drop(self, bucket):
        """Remove a bucket and what is in it."""
        for key in self.keys(bucket):
            self._client.delete_object(Bucket=bucket, Key=key)
        self._client.delete_bucket(Bucket=bucket)

    def credentials(self):
        """dlt's credentials."""
        return AwsCredentials(
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            region_name=REGION,
            endpoint_url=self.url,
            s3_url_style="path",
        )

    def object_store(self):
        """Options of the library `deltalake`."""
        return {
            "aws_access_key_id": "key",
            "aws_secret_access_key": "secret",
            "aws_region": REGION,
            "aws_endpoint_url": self.url,
            "aws_allow_http": "true",
        }

    def stop(self):
        self._server.stop()


@functools.cache
def running():
    """The server of this process; it stops when the process ends."""
    server = S3()
    atexit.register(server.stop)
    return server
