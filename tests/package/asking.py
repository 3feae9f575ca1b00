"""`python3 asking.py TOKEN UNTIL`: ask the endpoint until the file UNTIL exists; how it went, as JSON.

Plain python3, no library: it runs on the machine. Each request has a connection of its own.
"""

import collections
import http.client
import json
import os
import sys
import time

ROW = json.dumps({"rows": [{"tenure": 2, "contract": "Month-to-month", "monthly": 99}]})


def ask(token: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", 7601, timeout=20)
    try:
        connection.request("POST", "/predict/churn", ROW, {"Authorization": f"Bearer {token}"})
        reply = connection.getresponse()
        reply.read()
        return str(reply.status)
    except OSError as error:
        return repr(error)
    finally:
        connection.close()


def main() -> None:
    token, until = sys.argv[1:]
    told: collections.Counter[str] = collections.Counter()
    longest = 0.0
    while not os.path.exists(until):
        began = time.monotonic()
        told[ask(token)] += 1
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.01)
    print(json.dumps({"answers": told, "longest": longest}))


if __name__ == "__main__":
    main()
