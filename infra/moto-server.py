"""moto's server with one name set right: it calls the answer to ListParts ListPartsResponse, S3 calls it ListPartsResult,
and clients that read strictly, as the SDK for Rust does, refuse the former."""

import sys

from moto.core.serialize import S3Serializer
from moto.server import main

serialize = S3Serializer._serialize_body


def renamed(self, body):
    return serialize(self, {"ListPartsResult" if name == "ListPartsResponse" else name: value for name, value in body.items()})


S3Serializer._serialize_body = renamed
main(sys.argv[1:])
