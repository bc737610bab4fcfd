package mysqlqueue

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// pushKeyed pushes the jobs with a key.
func (p *push) pushKeyed(ctx context.Context) error {
	db := p.store.known.through(p.on)
	if p.once {
		if err := p.store.TakeOnce(ctx, db, p.jobs, p.pushed); err != nil {
			return err
		}
	}
	for _, i := range p.keyed {
		if p.pushed[i].Duplicate {
			continue
		}
		push := p.insertKeyed
		if p.jobs[i].Replace {
			push = p.replace
		}
		if err := push(ctx, i); err != nil {
			return err
		}
	}
	if !p.once {
		return nil
	}
	return p.store.KeepOnce(ctx, db, p.jobs, p.pushed)
}

// replace changes the job that waits with the key, or inserts the job. INSERT … ON DUPLICATE KEY UPDATE would do the same for every unique
// index of the table, also the application's own. A job that is being reserved is waited for, which is short, and then the key is free.
func (p *push) replace(ctx context.Context, i int) error {
	const tries = 100 // each time another job with the key came in between, and was reserved
	for try := 1; ; try++ {
		p.pushed[i] = driver.Pushed{}
		if p.store.bound == nil || try > 1 {
			if done, err := p.replaceHolder(ctx, i); err != nil || done {
				return err
			}
		}
		id, err := p.insert(ctx, []int{i})
		if err == nil {
			p.pushed[i].ID = id
			return nil
		}
		if !p.store.KeyHeld(err) {
			return err
		}
		if try == tries {
			p.pushed[i].Duplicate = true
			return nil
		}
	}
}

// A caller's transaction may see a key without a lock as it was long ago, so there the row is locked by the key's index. It has tried to
// insert before and has the entry locked. %[1]s queue, %[2]s unique key.
const lockHolderSQL = holderSQL + ` FOR UPDATE`

// %[1]d id, %[2]s queue, %[3]s unique key.
const lockJobSQL = `
SELECT reserved FROM {jobs} FORCE INDEX (PRIMARY) WHERE id = %[1]d AND queue = %[2]s AND unique_key = %[3]s FOR UPDATE`

// %[1]d id, %[2]d priority, %[3]s payload, %[4]s available_at, %[5]t whether a job that is due keeps its time, %[6]s the latest time for
// it.
const replaceSQL = `
UPDATE {jobs} FORCE INDEX (PRIMARY) SET priority = %[2]d, payload = %[3]s, unique_until = 1,
    available_at = IF(available_at <= UTC_TIMESTAMP(6) AND (%[5]t OR %[4]s <= UTC_TIMESTAMP(6)), available_at,
        GREATEST(LEAST(%[4]s, %[6]s), LEAST(%[4]s, UTC_TIMESTAMP(6))))
WHERE id = %[1]d AND reserved = 0`

// replaceHolder changes the job that has the key, or says that it is reserved. Otherwise no job has the key.
func (p *push) replaceHolder(ctx context.Context, i int) (done bool, err error) {
	job := &p.jobs[i]
	queue, key := text(job.Queue), text(job.UniqueKey)
	find := holderSQL
	if p.store.bound != nil {
		find = lockHolderSQL
	}
	var id int64
	if err := p.one(ctx, p.store.sql(find, queue, key), &id); err != nil || id == 0 {
		return false, err
	}
	reserved := int64(-1)
	if err := p.one(ctx, p.store.sql(lockJobSQL, id, queue, key), &reserved); err != nil || reserved < 0 {
		return false, err
	}
	p.pushed[i] = driver.Pushed{ID: id, Duplicate: reserved > 0, Replaced: reserved == 0}
	if reserved > 0 {
		return true, nil
	}
	at := after(job.Delay)
	if !job.At.IsZero() {
		at = momentOf(job.At)
	}
	latest := at
	if job.Bound > 0 {
		latest = fmt.Sprintf("created_at + INTERVAL %d MICROSECOND", job.Bound.Microseconds())
	}
	payload, args := "?", []any{string(job.Payload)}
	if len(job.Payload) <= p.packet/packetPart {
		payload, args = string(appendText(nil, job.Payload)), nil
	}
	update := p.store.sql(replaceSQL, id, job.Priority, payload, at, job.Debounce, latest)
	_, err = p.on.ExecContext(ctx, update, args...)
	return true, err
}

// lockKeys drops from the jobs of a lane, which are locked, those that are to give up their keys and cannot now: a push of the same key
// keeps its entry in the index locked until its transaction ends. It notes the others.
func (c *exchange) lockKeys(ctx context.Context, jobs []sqlqueue.Job, giveUp []int64) ([]sqlqueue.Job, error) {
	var keys []string
	for _, j := range jobs {
		if slices.Contains(giveUp, j.ID) {
			keys = append(keys, fmt.Sprintf("queue = %s AND unique_key = %s", text(j.Queue), text(j.UniqueKey)))
		}
	}
	free, err := c.ids(ctx, c.store.sql(lockKeysSQL, strings.Join(keys, " OR "), 0))
	c.giveUp = append(c.giveUp, free...)
	return slices.DeleteFunc(jobs, func(j sqlqueue.Job) bool {
		return slices.Contains(giveUp, j.ID) && !slices.Contains(free, j.ID)
	}), err
}

// %[1]s ids.
const clearKeysSQL = `
UPDATE {jobs} FORCE INDEX (PRIMARY) SET unique_key = NULL WHERE id IN (%[1]s) AND unique_until = 1`

// clearKeys takes the keys from those of the jobs that were reserved which are to give them up.
func (c *exchange) clearKeys(ctx context.Context) error {
	if len(c.giveUp) == 0 {
		return nil
	}
	var ids []int64
	for i := range c.answer.Reserved {
		if j := &c.answer.Reserved[i]; slices.Contains(c.giveUp, j.ID) {
			ids, j.UniqueKey = append(ids, j.ID), ""
		}
	}
	for part := range slices.Chunk(ids, mostIDs) {
		if _, err := c.db.Exec(ctx, c.store.sql(clearKeysSQL, integers(part))); err != nil {
			return err
		}
	}
	return nil
}
