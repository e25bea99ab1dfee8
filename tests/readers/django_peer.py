"""Reads {"query"} or {"body", "type"} per line; writes what Django and urllib find under `doc_id`."""
import io
import json
import sys
from urllib.parse import parse_qs

import django
from django.conf import settings

settings.configure(DEFAULT_CHARSET="utf-8", USE_TZ=True)
django.setup()

from django.core.handlers.wsgi import WSGIRequest  # noqa: E402
from django.http import QueryDict  # noqa: E402

for line in sys.stdin:
    request = json.loads(line)
    try:
        if "query" in request:
            found = QueryDict(request["query"]).get("doc_id")
            plain = parse_qs(request["query"], keep_blank_values=True).get("doc_id", [None])
            if plain[-1] != found:
                found = {"other": True}
        else:
            body = request["body"].encode()
            environ = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": request["type"], "CONTENT_LENGTH": str(len(body)),
                       "wsgi.input": io.BytesIO(body), "PATH_INFO": "/"}
            found = WSGIRequest(environ).POST.get("doc_id")
    except Exception:
        found = {"refused": True}
    print(json.dumps(found), flush=True)
