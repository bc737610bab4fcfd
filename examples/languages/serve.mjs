import { createInterface } from "node:readline";

for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  let answer = { id: job.id, outcome: "done" };
  if (job.data.order_id === undefined) {
    answer = { id: job.id, outcome: "fail", error: "no order_id in the data" };
  } else {
    console.error(`${job.name} of order ${job.data.order_id}, attempt ${job.attempts}`); // console.log is for answers
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
