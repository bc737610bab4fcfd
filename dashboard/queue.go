package dashboard

import (
	"net/http"
	"net/url"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

type queueData struct {
	queueRow
	Level   string // the first of its name
	Known   bool   // it has jobs, or controls
	Workers int
	Expire  string
	Groups  groups
	Limits  []limitRow
	Each    string // the name of the limit of each queue below
	Limit   limitForm
	Keep    keepForm
	charts
}

func (v *visit) queuePage() error { return v.showQueue(http.StatusOK, nil) }

// showQueue shows a queue; a form keeps its typed values.
func (v *visit) showQueue(status int, typed *limitForm) error {
	name := v.query.Get("name")
	s, err := v.look()
	if err != nil {
		return err
	}
	d := queueData{queueRow: rowOf(v.language, operator.QueueInfo{Queue: name, CountedTo: countedTo}, s)}
	for _, info := range s.Queues {
		if info.Queue == name {
			d.queueRow, d.Known = rowOf(v.language, info, s), true
		}
	}
	if e := d.Control.Expire; e != nil {
		if d.Expire = v.roughly(*e); *e == 0 {
			d.Expire = v.say("never")
		}
	}
	for _, w := range s.Workers {
		for _, queue := range w.Queues {
			if queue == name && s.Now.Sub(w.SeenAt) <= workerAlive {
				d.Workers++
			}
		}
	}
	if d.Groups, d.Limits, err = v.groupsOf(name, s); err != nil {
		return err
	}
	d.Level = driver.FirstLevel(name)
	if d.Each = name + "/*"; typed != nil {
		d.Limit = *typed
	}
	if d.Keep, err = v.keepOf(name); err != nil {
		return err
	}
	if d.charts, err = v.charts(s, &name); err != nil {
		return err
	}
	return v.render(status, "queue", &page{Title: brief(80, name), Here: "overview", Live: true, D: d})
}

func (v *visit) pause() error {
	change := operator.ControlChange{Pause: true}
	if text := v.form("for"); text != "" {
		var err error
		if change.PauseFor, err = parseDuration(text); err != nil {
			return err
		}
	}
	return v.tell("paused", change)
}

func (v *visit) resume() error { return v.tell("resumed", operator.ControlChange{Resume: true}) }

func (v *visit) restart() error { return v.tell("restarted", operator.ControlChange{Restart: true}) }

func (v *visit) down() error {
	yes := true
	return v.tell("down", operator.ControlChange{Maintenance: &yes})
}

func (v *visit) up() error {
	no := false
	return v.tell("up", operator.ControlChange{Maintenance: &no})
}

// tell controls the workers of the queue in ?name=, or of all queues, and goes back to the page of the button.
func (v *visit) tell(said string, change operator.ControlChange) error {
	name := v.query.Get("name")
	if name != "" {
		if err := sqlqueue.CheckQueueName(name); err != nil {
			return &problem{http.StatusUnprocessableEntity, err}
		}
	}
	if !v.query.Has("name") {
		return v.wrong(http.StatusBadRequest, "queue.which")
	}
	const most = 100 * 365 * 24 * time.Hour
	if change.PauseFor > most {
		return v.wrong(http.StatusUnprocessableEntity, "query.duration", v.form("for"))
	}
	if err := v.operator.Control(v.ctx(), name, change); err != nil {
		return err
	}
	if v.query.Has("back") { // to the queue above
		return v.done("queue", url.Values{"name": {v.query.Get("back")}}, said, -1)
	}
	switch v.query.Get("from") {
	case "queue":
		return v.done("queue", url.Values{"name": {name}}, said, -1)
	case "workers":
		return v.done("workers", nil, said, -1)
	}
	return v.done("", nil, said, -1)
}
