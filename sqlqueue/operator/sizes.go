package operator

import (
	"context"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// SizePart is the most that queues held in a part of the time. Workers measure once a minute, and count each number of a queue's first
// level to SizesMost.
type SizePart struct {
	Begin    time.Time `json:"begin"`
	Measured bool      `json:"measured"` // a worker ran and measured; otherwise all numbers are 0
	Ready    int64     `json:"ready"`
	Delayed  int64     `json:"delayed"`
	Reserved int64     `json:"reserved"`
	Failed   int64     `json:"failed"`
	OldestMS int64     `json:"oldest_ms"` // for how long the oldest ready job had been due
}

// Sizes returns what the queues of a first level, or under an empty name all queues, held in the last since, at most NamesKept: in at most
// 61 parts, the oldest first.
func (o *Operator) Sizes(ctx context.Context, queue string, since time.Duration) ([]SizePart, error) {
	t, counts, err := o.namesSince(ctx, since)
	if err != nil {
		return nil, wrap("sizes", err)
	}
	parts := make([]SizePart, counts.parts())
	for i := range parts {
		parts[i].Begin = counts.Begin.Add(time.Duration(i) * counts.Step)
	}
	s := t.statement("SELECT "+t.Dialect.Micros, "minute")
	s.Add(", queue, ready, not_due, reserved, failed, oldest_ms FROM %s", t.Table("job_sizes"))
	s.Add(" WHERE step IN (1, 60) AND minute >= %s", s.Time(counts.Begin))
	s.Add(" AND queue IN ('', %s)", s.Arg(storable(queue)))
	err = s.Each(ctx, t.DB, func(scan func(...any) error) error {
		var at time.Time
		var of string
		var p SizePart
		err := scan(sqldb.Reading(&at, &of, &p.Ready, &p.Delayed, &p.Reserved, &p.Failed, &p.OldestMS)...)
		to := &parts[counts.part(at)]
		if to.Measured = true; of == queue { // the row of all queues says that there was a measurement
			to.Ready, to.Delayed, to.Reserved = max(to.Ready, p.Ready), max(to.Delayed, p.Delayed), max(to.Reserved, p.Reserved)
			to.Failed, to.OldestMS = max(to.Failed, p.Failed), max(to.OldestMS, p.OldestMS)
		}
		return err
	})
	return parts, wrap("sizes", err)
}
