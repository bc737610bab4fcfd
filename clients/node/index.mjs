import { writeSync } from "node:fs";
import { createInterface } from "node:readline";

/** A handler throws it to say what becomes of its job. */
export class Outcome extends Error {
  constructor(answer) {
    super(answer.error ?? answer.outcome);
    this.answer = answer;
  }
}

/** The job runs again after so many seconds. Without a delay it waits as after an error. */
export const release = (delay) => new Outcome({ outcome: "release", delay });

/** The same, but the attempt does not count. */
export const snooze = (delay) => new Outcome({ outcome: "snooze", delay });

/** The job moves to the failed jobs, whatever tries it has left. */
export const fail = (reason) => new Outcome({ outcome: "fail", error: String(reason) });

/** The job is deleted without being done. */
export const discard = () => new Outcome({ outcome: "discard" });

/**
 * Runs jobs for `sqlqueue work --exec 'node worker.mjs' --reuse`, until the worker wants no more. Handlers is a function for all jobs,
 * or an object with a function for each name; each gets {id, queue, name, attempts, data, trace} and may return a promise. A handler
 * that returns has done its job; what it throws is the job's error. console.log goes to the worker's log.
 */
export async function serve(handlers) {
  if (process.env.SQLQUEUE_REUSE === undefined) {
    throw new Error("start this program by: sqlqueue work --exec '…' --reuse");
  }
  process.stdout.write = process.stderr.write.bind(process.stderr); // standard output is for answers alone
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    const job = JSON.parse(line);
    const answer = JSON.stringify({ id: job.id, ...(await run(handlers, job)) });
    writeSync(1, answer + "\n");
  }
}

async function run(handlers, job) {
  try {
    const handler = typeof handlers === "function" ? handlers : Object.hasOwn(handlers, job.name) && handlers[job.name];
    if (!handler) {
      return { outcome: "error", error: `no handler for ${job.name}` };
    }
    await handler(job);
    return { outcome: "done" };
  } catch (error) {
    if (error instanceof Outcome) {
      return error.answer;
    }
    console.error(error);
    return { outcome: "error", error: String(error).slice(0, 2000) };
  }
}
