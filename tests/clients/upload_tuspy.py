"""Uploads one file with tuspy as published, stopping and resuming on the way.

Arguments: endpoint, access token, lesson id, file, part size in bytes, number of stops.
Prints one JSON object: {"url": ..., "urls": 1, "resumed": ...}.
"""

import json
import os
import sys
import time

from tusclient import client
from tusclient.exceptions import TusCommunicationError

endpoint, token, lesson_id, path, part_bytes, stops = sys.argv[1:]
part_bytes, stops = int(part_bytes), int(stops)
size = os.path.getsize(path)
tus = client.TusClient(endpoint, headers={"Authorization": f"Bearer {token}"})
options = {"chunk_size": part_bytes, "retries": 60, "retry_delay": 0.25}


def while_server_restarts(action):
    """tuspy retries a part by itself, but neither a creation nor the first HEAD of a resumed upload."""
    for _ in range(60):
        try:
            return action()
        except TusCommunicationError:
            time.sleep(0.25)
    raise SystemExit("the server did not come back")


metadata = {"filename": os.path.basename(path), "filetype": "video/mp4", "lesson_id": lesson_id}
uploader = tus.uploader(path, metadata=metadata, **options)
while_server_restarts(lambda: uploader.set_url(uploader.create_url()))
url, resumed = uploader.url, 0
for stop in range(1, stops + 1):
    uploader.upload(stop_at=size * stop // (stops + 1))
    # A new process would know no more than the address.
    uploader = while_server_restarts(lambda: tus.uploader(path, url=url, **options))
    resumed += 1
uploader.upload()
print(json.dumps({"url": url, "urls": 1, "resumed": resumed}))
