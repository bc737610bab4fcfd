package dashboard

import (
	"net/http"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

type workerRow struct {
	operator.Worker
	Dead   bool
	Wanted int // what an operator asked for; 0: nothing
}

type workersData struct {
	Workers []workerRow
	All     operator.Control
	Says    string
}

func (v *visit) workersPage() error {
	s, err := v.look()
	if err != nil {
		return err
	}
	d := workersData{}
	for _, w := range s.Workers {
		d.Workers = append(d.Workers, workerRow{w, isDead(w, s.Now), w.WantedConcurrency})
	}
	for _, info := range s.Queues {
		if info.Queue == "" {
			d.All, d.Says = info.Control, v.told(info.Control, s.Now)
		}
	}
	return v.render(http.StatusOK, "workers", &page{Title: v.say("workers"), Here: "workers", Live: true, D: d})
}

func isDead(w operator.Worker, now time.Time) bool { return now.Sub(w.SeenAt) > workerAlive }

func (v *visit) setConcurrency() error {
	const most = 1 << 20
	n, err := number(v.form("n"), 0, most)
	if err != nil {
		return err
	}
	if err := v.operator.SetConcurrency(v.ctx(), v.query.Get("worker"), int(n)); err != nil {
		return err
	}
	return v.done("workers", nil, "concurrency", int(n))
}
