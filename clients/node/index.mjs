import { createHash } from "node:crypto";
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";

// How each database writes a time that is so many microseconds from now.
const later = {
  sqlite: (place) => `CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER) + CAST(${place} AS INTEGER)`,
  postgres: (place) => `clock_timestamp() + ${place}::bigint * interval '1 microsecond'`,
  mysql: (place) => `UTC_TIMESTAMP(6) + INTERVAL ${place} MICROSECOND`,
};

/**
 * Pushes a job in the connection's transaction, which stays open: the job is there when you commit. The connection is a client of pg, a
 * connection of mysql2, or a database of better-sqlite3 or node:sqlite. The delay is in seconds; a smaller priority runs first. The
 * prefix and, on PostgreSQL, the schema are those of the tables. The other options are the payload's settings: tries, timeout, backoff,
 * max_exceptions, keep, retry_until, then, catch.
 *
 * The answer is the job's id, or null if the queue has a job with the unique key already: on SQLite itself, as its drivers answer, on the
 * others a promise of it.
 */
export function push(connection, name, data = null, options = {}) {
  const { queue = "default", priority = 0, delay = 0, unique = null, prefix = "", schema = "", ...settings } = options;
  if (!/^[A-Za-z0-9_]*$/.test(prefix)) {
    throw new RangeError(`a table prefix has letters, digits and underscores: ${prefix}`);
  }
  const family = familyOf(connection);
  if (schema !== "" && family !== "postgres") {
    throw new RangeError("only PostgreSQL has schemas");
  }
  if (!/^[A-Za-z0-9_]{0,63}$/.test(schema)) {
    throw new RangeError(`a schema has at most 63 letters, digits and underscores: ${schema}`);
  }
  const place = (n) => (family === "postgres" ? `$${n}` : "?");
  const columns = ["queue", "priority", "payload", "unique_key"];
  const places = columns.map((_, i) => place(i + 1));
  const values = [queue, priority, JSON.stringify({ job: name, data, ...settings }), unique];
  if (delay > 0) {
    columns.push("available_at");
    places.push(later[family](place(5)));
    values.push(Math.round(delay * 1e6));
  }
  const table = (schema === "" ? "" : `"${schema}".`) + prefix + "jobs";
  let sql = `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${places.join(", ")})`;
  if (unique !== null) {
    // With LAST_INSERT_ID the id of a duplicate is 0. Its count of rows is 1 where a driver sets FOUND_ROWS, as mysql2 does.
    sql += family === "mysql" ? " ON DUPLICATE KEY UPDATE id = id + LAST_INSERT_ID(0)" : " ON CONFLICT DO NOTHING";
  }
  return insert[family](connection, sql, values, channelOf(schema, prefix));
}

function channelOf(schema, prefix) {
  const channel = (schema === "" ? "" : schema + ".") + prefix + "sqlqueue";
  const longest = 63; // of PostgreSQL
  return channel.length <= longest ? channel : "sqlqueue." + createHash("sha256").update(channel).digest("hex").slice(0, 32);
}

function familyOf(connection) {
  if (typeof connection?.execute === "function") return "mysql";
  if (typeof connection?.prepare === "function") return "sqlite";
  if (typeof connection?.query === "function") return "postgres";
  throw new TypeError("sqlqueue does not know this connection");
}

const insert = {
  sqlite(connection, sql, values) {
    const { changes, lastInsertRowid } = connection.prepare(sql).run(...values);
    return changes === 1 ? Number(lastInsertRowid) : null;
  },
  async postgres(connection, sql, values, channel) {
    const { rows } = await connection.query(sql + " RETURNING id", values);
    await connection.query("SELECT pg_notify($1, $2)", [channel, values[0]]); // wakes the workers at the commit
    return rows.length === 1 ? Number(rows[0].id) : null;
  },
  async mysql(connection, sql, values) {
    const promising = typeof connection.promise === "function" ? connection.promise() : connection;
    const [{ insertId }] = await promising.execute(sql, values);
    return Number(insertId) || null;
  },
};

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
