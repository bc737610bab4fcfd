package sqlitequeue

import (
	"context"
	"errors"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/turn"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Exchange implements driver.Store. With one writer at a time, nothing is ever Locked.
func (s *store) Exchange(ctx context.Context, x driver.Exchange) (driver.Exchanged, error) {
	changes := len(x.Touch)+len(x.Abandoned) > 0
	switch {
	case s.bound && (changes || x.Requeue > 0 || x.Limit > 0):
		return driver.Exchanged{}, errors.New("in a transaction of the caller's, an exchange can only settle")
	case x.Limit > 0 && x.Number == "":
		return driver.Exchanged{}, errors.New("an exchange that reserves needs a number")
	}
	var plan *turn.Plan
	whole := x
	if !s.bound {
		var err error
		if plan, err = s.turns.Prepare(ctx, s.Database, x); err != nil {
			return driver.Exchanged{}, err
		}
		if plan != nil {
			x.Reserve = plan.Reserve
		}
	}
	if !s.bound && !changes && len(x.Settle) == 0 {
		answer, work, err := s.look(ctx, x, whole, plan)
		if err != nil || !work {
			plan.Done(&answer)
			answer.Keep = s.turns.Keep()
			return answer, err
		}
	}
	var e *exchange
	deletes := s.deletes(x.Settle)
	run := func(tx sqldb.Executor) error {
		e = s.newExchange(sqldb.SQL(tx, translate), x, whole, plan)
		e.deletes = deletes
		for _, step := range []func(context.Context) error{
			e.settle, e.touch, e.giveBack, e.requeue, e.wanted, e.findLanes, e.control, e.reserve, e.nextDue,
		} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	err := s.promptly(ctx, run)
	if errors.Is(err, errSomeLost) {
		deletes = nil
		err = s.promptly(ctx, run)
	}
	if err != nil {
		return driver.Exchanged{}, err
	}
	e.noteAsked()
	plan.Done(&e.answer)
	e.answer.Keep = s.turns.Keep()
	return e.answer, nil
}

// exchange is an Exchange under way.
type exchange struct {
	*store
	db      sqldb.DB
	plan    *turn.Plan // if queues take turns or have limits
	asked   driver.Exchange
	whole   driver.Exchange // as it was given, with patterns
	answer  driver.Exchanged
	deletes map[string][]int64 // by number, if nothing else is to settle, and it is not known that one is lost; otherwise nil
	now     int64
	part    lane.Part                // the lanes to ask
	lanes   []lane.Lane              // those whose queues are not stopped
	expires map[string]time.Duration // of reservations, by queue
	bytes   int64                    // of the payloads that are reserved, if asked.Bytes bounds them
	full    bool                     // the next payload does not fit
}

func (s *store) newExchange(db sqldb.DB, x, whole driver.Exchange, plan *turn.Plan) *exchange {
	now := time.Now().UnixMicro()
	return &exchange{store: s, db: db, plan: plan, asked: x, whole: whole, now: now, answer: driver.Exchanged{Now: fromMicros(now)}}
}

// noteAsked notes where the next exchange goes on.
func (e *exchange) noteAsked() {
	e.places.Exchanged(&e.part, &e.asked, &e.answer, e.full, e.answer.Now)
}

func fromMicros(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
