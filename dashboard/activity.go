package dashboard

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

type activityData struct {
	Rows  []activityRow
	Next  string
	First bool
}

// activityRow is a change, and what restores the jobs that it has cancelled.
type activityRow struct {
	operator.Operation
	Undo string
}

// undoOf is what jobs were cancelled under, if they can be restored.
func undoOf(o operator.Operation, now time.Time) string {
	var target struct {
		Undo string `json:"undo"`
	}
	if o.Action != "cancel" || now.Sub(o.At) > operator.CancelledKept || json.Unmarshal([]byte(o.Target), &target) != nil ||
		!isUndo(target.Undo) {
		return ""
	}
	return target.Undo
}

// activityPage shows who changed what.
func (v *visit) activityPage() error {
	filter := operator.OperationFilter{Limit: rowsOfPage + 1}
	d := activityData{First: v.query.Get("before") == ""}
	if !d.First {
		var err error
		if filter.Before, err = number(v.query.Get("before"), 1, 1<<63-1); err != nil {
			return err
		}
	}
	found, err := v.operations(filter)
	if err != nil {
		return err
	}
	if len(found) > rowsOfPage {
		found = found[:rowsOfPage]
		d.Next = strconv.FormatInt(found[rowsOfPage-1].ID, 10)
	}
	for _, o := range found {
		d.Rows = append(d.Rows, activityRow{o, undoOf(o, time.Now())})
	}
	return v.render(http.StatusOK, "activity", &page{Title: v.say("activity"), Here: "activity", Live: d.First, D: d})
}

func (v *visit) operations(filter operator.OperationFilter) ([]operator.Operation, error) {
	found, err := v.operator.Operations(v.ctx(), filter)
	for i := range found {
		found[i].Target, found[i].Note = hideCredentials(found[i].Target), hideCredentials(found[i].Note)
	}
	return found, err
}

// apiOperations has ?before= and ?limit=.
func (v *visit) apiOperations() error {
	limit, err := v.limit()
	if err != nil {
		return err
	}
	filter := operator.OperationFilter{Limit: limit}
	if text := v.query.Get("before"); text != "" {
		if filter.Before, err = number(text, 1, 1<<63-1); err != nil {
			return err
		}
	}
	found, err := v.operations(filter)
	if err != nil {
		return err
	}
	if found == nil {
		found = []operator.Operation{}
	}
	v.writeJSON(http.StatusOK, found)
	return nil
}
