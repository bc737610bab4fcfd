package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

const (
	batchesFresh  = 5 * time.Second // all jobs of each are counted
	batchesOfPage = 20
)

// batchRow is a batch as the pages show it.
type batchRow struct {
	operator.Batch
	Percent int // of its jobs are done
	Open    bool
}

func rowOfBatch(b operator.Batch) batchRow {
	row := batchRow{Batch: b, Open: b.ClosedAt.IsZero()}
	if b.Total > 0 {
		row.Percent = int(100 * b.Done / b.Total)
	}
	return row
}

type batchesData struct {
	Rows  []batchRow
	Next  string
	First bool
}

func (v *visit) batchesPage() error {
	d := batchesData{First: v.query.Get("before") == ""}
	batches, err := v.batchesBefore()
	if err != nil {
		return err
	}
	if len(batches) > batchesOfPage {
		batches = batches[:batchesOfPage]
		d.Next = strconv.FormatInt(batches[batchesOfPage-1].ID, 10)
	}
	for _, b := range batches {
		d.Rows = append(d.Rows, rowOfBatch(b))
	}
	return v.render(http.StatusOK, "batches", &page{Title: v.say("batches"), Here: "batches", Live: d.First, D: d})
}

// batchesBefore are those of ?before=, or the newest; one more than a page has.
func (v *visit) batchesBefore() ([]operator.Batch, error) {
	text := v.query.Get("before")
	if text == "" {
		return v.batches.get(v.ctx())
	}
	before, err := number(text, 1, 1<<63-1)
	if err != nil {
		return nil, err
	}
	return v.operator.Batches(v.ctx(), before, batchesOfPage+1)
}

func (d *Dashboard) loadBatches(ctx context.Context) ([]operator.Batch, error) {
	return d.operator.Batches(ctx, 0, batchesOfPage+1)
}

type batchData struct {
	batchRow
	Callbacks []nextJob // jobs that it pushes when it ends
}

func (v *visit) batchPage() error {
	b, err := v.operator.Batch(v.ctx(), v.id)
	if err != nil {
		return err
	}
	d := batchData{batchRow: rowOfBatch(b)}
	for _, c := range []struct {
		when string
		text []byte
	}{{"success", b.OnSuccess}, {"finish", b.OnFinish}, {"failure", b.OnFailure}} {
		if len(c.text) == 0 {
			continue
		}
		next, err := sqlqueue.ParseNext(c.text)
		if err != nil {
			next = []sqlqueue.Next{{Payload: sqlqueue.Payload{Job: "?"}}}
		}
		for _, job := range v.nextJobs(next) {
			job.When = v.say("batch." + c.when)
			d.Callbacks = append(d.Callbacks, job)
		}
	}
	return v.render(http.StatusOK, "batch", &page{Title: v.say("batch.title", v.id), Here: "batches", Live: true, D: d})
}

// cancelBatch closes a batch and deletes its waiting jobs. If there are too many for one request, a page with a progress bar deletes the
// rest.
func (v *visit) cancelBatch() error {
	b, err := v.operator.Batch(v.ctx(), v.id)
	if err != nil {
		return err
	}
	n, err := v.operator.CancelBatch(v.ctx(), v.id)
	switch {
	case errors.Is(err, sqlqueue.ErrBatchEnded):
		return &problem{http.StatusConflict, say("batch.ended")}
	case err != nil && errors.Is(v.ctx().Err(), context.DeadlineExceeded):
		v.redirect(v.base + "bulk/clear?q=" + url.QueryEscape(joined("queue", b.Queue)))
		return nil
	case err != nil:
		return v.refusal(err)
	}
	return v.done("batches/"+strconv.FormatInt(v.id, 10), nil, "batchcancelled", n)
}

// apiBatches has ?before=.
func (v *visit) apiBatches() error {
	batches, err := v.batchesBefore()
	if err != nil {
		return err
	}
	return writeList(v, batches[:min(len(batches), batchesOfPage)], func(b operator.Batch) operator.Batch {
		b.OnSuccess, b.OnFinish, b.OnFailure = v.encodableIf(b.OnSuccess), v.encodableIf(b.OnFinish), v.encodableIf(b.OnFailure)
		return b
	})
}

// encodableIf is encodable of a payload, if there is one.
func (v *visit) encodableIf(payload []byte) []byte {
	if len(payload) == 0 {
		return nil
	}
	return v.encodable(payload)
}
