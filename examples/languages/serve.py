import json
import sys

answers = sys.stdout
sys.stdout = sys.stderr  # print is for the log

for line in sys.stdin:
    job = json.loads(line)
    answer = {"id": job["id"], "outcome": "done"}
    if "order_id" in job["data"]:
        print(f"{job['name']} of order {job['data']['order_id']}, attempt {job['attempts']}")
    else:
        answer = {"id": job["id"], "outcome": "fail", "error": "no order_id in the data"}
    print(json.dumps(answer), file=answers, flush=True)
