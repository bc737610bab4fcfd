// Serves a queue of npm to the benchmark: the requests and replies of serve.go, a line of JSON each.
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'pg'

const pad = 'x'.repeat(69)
const now = () => Math.round((performance.timeOrigin + performance.now()) * 1000)
const newJobs = n => Array.from({ length: n }, () => ({ t: now(), pad }))
const cpuTime = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1e6 }
const kept = 100_000

// Graphile Worker: https://worker.graphile.org/docs/performance
async function graphile(dsn, setup, tuned) {
  const { run, runMigrations, makeWorkerUtils, Logger } = await import('graphile-worker')
  const logger = new Logger(() => () => {}) // both of its settings: the default writes a line for each job
  if (setup) await runMigrations({ connectionString: dsn, logger })
  const pgPool = new Pool({ connectionString: dsn, max: 20 })
  pgPool.on('error', () => {})
  const utils = await makeWorkerUtils({ pgPool, logger })
  return {
    async push(jobs, delay) {
      const options = delay ? { runAt: new Date(Date.now() + delay * 1000) } : {}
      if (jobs.length === 1) return utils.addJob('job', jobs[0], options)
      return utils.addJobs(jobs.map(payload => ({ identifier: 'job', payload, ...options })))
    },
    async work(concurrency, handle) {
      const worker = tuned
        ? { concurrentJobs: concurrency || 24, maxPoolSize: 26, localQueue: { size: Math.max(500, concurrency + 1) }, completeJobBatchDelay: 0, failJobBatchDelay: 0 }
        : {}
      const runner = await run({
        preset: { worker: { connectionString: dsn, ...worker } },
        logger, noHandleSignals: true, parsedCronItems: [], taskList: { job: handle },
      })
      return () => runner.stop()
    },
    async close() { await utils.release(); await pgPool.end() },
  }
}

// pg-boss: https://pgboss.io
async function pgboss(dsn, setup, tuned) {
  const { PgBoss } = await import('pg-boss')
  const boss = new PgBoss({ connectionString: dsn, max: tuned ? 20 : undefined, useListenNotify: tuned, migrate: setup })
  boss.on('error', err => console.error(err))
  await boss.start()
  if (setup) await boss.createQueue('job', tuned ? { notify: true } : {})
  return {
    async push(jobs, delay) {
      const options = delay ? { startAfter: new Date(Date.now() + delay * 1000) } : {}
      if (jobs.length === 1) return boss.send('job', jobs[0], options)
      return boss.insert('job', jobs.map(data => ({ data, ...options })))
    },
    async work(concurrency, handle) {
      const options = tuned ? { batchSize: Math.max(1000, concurrency), burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 } : {}
      await boss.work('job', options, jobs => Promise.all(jobs.map(job => handle(job.data))).then(() => undefined))
      return () => boss.offWork('job', { wait: true })
    },
    async close() { await boss.stop({ graceful: false }) },
  }
}

let queue, stop, cpu = 0, first = 0, last = 0, pushed = 0, ran = 0, handled = 0, latencies = []

function handler(ms) {
  const note = job => {
    last = now()
    if (++ran <= kept) latencies.push((last - job.t) / 1000)
  }
  return ms ? async job => { note(job); await sleep(ms) } : note
}

async function push(q, ended) {
  const client = async i => {
    let next = performance.now() + (q.rate ? i * 1000 / q.rate : 0)
    while (!ended()) {
      if (q.rate) {
        const left = next - performance.now()
        if (left > 0) await sleep(left)
        next += 1000 * q.clients / q.rate
      }
      while (q.ahead && pushed - handled >= q.ahead && !ended()) await sleep(1)
      if (ended()) return
      await queue.push(newJobs(q.batch), 0)
      pushed += q.batch
    }
  }
  await Promise.all(Array.from({ length: q.clients }, (_, i) => client(i)))
}

const operations = {
  async open(q) {
    const name = process.env.SQLQUEUE_BENCH_SERVE
    queue = await (name.startsWith('pg-boss') ? pgboss : graphile)(q.dsn, !!q.setup, !name.includes('defaults'))
  },
  async fill(q) {
    for (let left = q.jobs; left > 0; left -= 1000) await queue.push(newJobs(Math.min(left, 1000)), q.delay ?? 0)
  },
  async push(q) {
    cpu = cpuTime()
    pushed = 0
    if (q.seconds) {
      const began = performance.now()
      await push(q, () => performance.now() - began >= q.seconds * 1000)
      return { jobs: pushed, seconds: (performance.now() - began) / 1000, cpu: cpuTime() - cpu }
    }
    let ended = false
    const running = push(q, () => ended)
    running.catch(() => {}) // told by stop
    stop = () => { ended = true; return running }
  },
  async work(q) {
    cpu = cpuTime()
    first = now()
    stop = await queue.work(q.concurrency ?? 0, handler(q.sleep ?? 0))
  },
  async handled(q) { handled = q.jobs },
  async count() { return { jobs: Math.max(pushed, ran), first, last } },
  async stop() {
    if (stop) await stop()
    return { jobs: Math.max(pushed, ran), first, last, cpu: cpuTime() - cpu, latencies }
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const q = JSON.parse(line)
  let answer
  try {
    answer = await operations[q.op](q) ?? {}
  } catch (err) {
    answer = { error: String(err?.stack ?? err) }
  }
  process.stdout.write(JSON.stringify({ jobs: 0, cpu: 0, ...answer }) + '\n')
}
await queue?.close()
process.exit(0)
