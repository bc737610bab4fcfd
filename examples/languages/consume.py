import json
import os
import sys

data = json.load(sys.stdin)
if "order_id" not in data:
    print("no order_id in the data", file=sys.stderr)  # the job's error
    sys.exit(65)  # fail for good: no other try helps

name, attempt = os.environ["SQLQUEUE_JOB_NAME"], os.environ["SQLQUEUE_JOB_ATTEMPTS"]
print(f"{name} of order {data['order_id']}, attempt {attempt}")
