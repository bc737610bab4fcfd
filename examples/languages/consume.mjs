import { readFileSync } from "node:fs";
import { env, exit } from "node:process";

const data = JSON.parse(readFileSync(0, "utf8"));
if (data.order_id === undefined) {
  console.error("no order_id in the data"); // the job's error
  exit(65); // fail for good: no other try helps
}
console.log(`${env.SQLQUEUE_JOB_NAME} of order ${data.order_id}, attempt ${env.SQLQUEUE_JOB_ATTEMPTS}`);
