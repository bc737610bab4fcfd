package guide

import (
	"context"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

type Report struct {
	For string `json:"for"`
}

func (Report) JobName() string { return "report" }

func scheduleReport(ctx context.Context, q *sqlqueue.Queue) error {
	return q.Schedule(ctx, sqlqueue.Schedule{
		Name: "daily report",
		Cron: "30 2 * * *", // or Every: "10 minutes"
		Zone: "Europe/Berlin",
		Job:  Report{For: "sales"},
	})
}

func TestScheduleReport(t *testing.T) {
	t.Parallel()
	q := openShop(t)
	for range 2 { // it changes nothing when the program starts again
		if err := scheduleReport(t.Context(), q.Queue); err != nil {
			t.Fatal(err)
		}
	}
	schedules, err := operator.New(q.Queue).Schedules(t.Context())
	if err != nil || len(schedules) != 1 {
		t.Fatalf("%+v, %v", schedules, err)
	}
}

func limitMail(ctx context.Context, q *sqlqueue.Queue) error {
	return operator.New(q).SetLimit(ctx, operator.Limit{
		Queue:   "mail/*", // each queue below mail, by itself
		Running: 1,        // jobs at a time
		Rate:    10,       // jobs start
		Per:     time.Minute,
	})
}

func importFile(ctx context.Context, q *sqlqueue.Queue, chunks [][]sqlqueue.Pushable) error {
	batch := q.Batch("import")
	for _, rows := range chunks {
		if _, err := batch.Push(ctx, rows...); err != nil {
			return err
		}
	}
	_, err := batch.Seal(ctx,
		sqlqueue.OnSuccess(Report{For: "all rows are imported"}),
		sqlqueue.OnFailure(Report{For: "a row has failed"}))
	return err
}

type Row struct{ N int }

func (Row) JobName() string { return "row" }

func chain(ctx context.Context, q *sqlqueue.Queue) error {
	_, err := q.Push(ctx, sqlqueue.Chain(
		Import{File: "a.csv"},
		Report{For: "the import"}, // when the import is done
	), sqlqueue.Catch(Report{For: "a failed import"}))
	return err
}

func TestBatchAndChain(t *testing.T) {
	t.Parallel()
	q := openShop(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if err := importFile(ctx, q.Queue, [][]sqlqueue.Pushable{{Row{1}, Row{2}}, {Row{3}}}); err != nil {
		t.Fatal(err)
	}
	if err := chain(ctx, q.Queue); err != nil {
		t.Fatal(err)
	}
	reports := make(chan string, 2)
	mux := worker.NewMux()
	worker.Handle(mux, func(context.Context, *worker.Job[Row]) error { return nil })
	worker.Handle(mux, func(context.Context, *worker.Job[Import]) error { return nil })
	worker.Handle(mux, func(_ context.Context, job *worker.Job[Report]) error {
		reports <- job.Data.For
		if len(reports) == 2 {
			stop()
		}
		return nil
	})
	if err := worker.New(q.Queue, mux, worker.Config{Queues: []string{"default", "import/*"}}).Run(ctx); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{<-reports: true, <-reports: true}
	if !got["the import"] || !got["all rows are imported"] {
		t.Errorf("reports: %v", got)
	}
}

func TestLimitMail(t *testing.T) {
	t.Parallel()
	q := openShop(t)
	if err := limitMail(t.Context(), q.Queue); err != nil {
		t.Fatal(err)
	}
	limits, err := operator.New(q.Queue).Limits(t.Context())
	if err != nil || len(limits) != 1 {
		t.Fatalf("%+v, %v", limits, err)
	}
}
