package dashboard_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

func TestBatches(t *testing.T) {
	s := open(t, dashboard.Config{})
	s.has(s.get("/batches"), "There are no batches")
	b := s.q.Batch("import")
	for i := range 4 {
		if _, err := b.Push(t.Context(), sqlqueue.Named("row", i)); err != nil {
			t.Fatal(err)
		}
	}
	secret := sqlqueue.Named("report", map[string]string{"token": "s3cret"})
	id, err := b.Seal(t.Context(), sqlqueue.OnSuccess(sqlqueue.With(secret, sqlqueue.OnQueue("mail"))),
		sqlqueue.OnFailure(sqlqueue.Named("alert", 1)))
	if err != nil {
		t.Fatal(err)
	}
	queue := fmt.Sprintf("import/b%d", id)
	s.fail(queue, 1, "boom", "")
	s.reserve(queue, 1)
	s.exec("DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE queue = ? AND NOT reserved LIMIT 1)", queue) // as one that is done

	s.has(s.get("/batches"), fmt.Sprintf(`<a href="batches/%d">`, id), `<progress value="1" max="4"`, "25 %", ">running</span>")
	target := fmt.Sprintf("/batches/%d", id)
	s.has(s.get(target), "when all jobs have succeeded:", "report", `href="../queue?name=mail"`, "when the first job has failed:", "alert",
		fmt.Sprintf(`action="%d/cancel"`, id), `href="../bulk/retry?q=queue%3aimport%2fb`)
	api := s.get("/api/v1/batches")
	s.has(api, `"total":4,`, `"waiting":1,"running":1,"failed":1,"done":1}`, `"on_success":{"job":"report"`)
	s.hasNot(api, "s3cret")

	w := s.post(303, target+"/cancel", nil)
	if got := w.Header().Get("Location"); got != fmt.Sprintf("../../batches/%d?n=1&said=batchcancelled", id) {
		t.Errorf("goes to %s", got)
	}
	s.has(s.get(target), ">cancelled</span>")
	s.hasNot(s.get(target), `/cancel"`)
	s.has(s.post(409, target+"/cancel", nil).Body.String(), "has already succeeded or was cancelled")
	s.post(404, "/batches/999/cancel", nil)
	for range 25 {
		if _, err := s.q.Batch("more").Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	page := s.get("/batches")
	s.has(page, `href="batches?before=`+fmt.Sprint(id+6)+`"`)
	s.has(s.get("/batches?before="+fmt.Sprint(id+6)), target[1:], "First page")
}

func TestChain(t *testing.T) {
	s := open(t, dashboard.Config{})
	secret := sqlqueue.Named("check", map[string]string{"token": "s3cret"})
	id, err := s.q.Push(t.Context(), sqlqueue.Chain(sqlqueue.Named("import", 1), sqlqueue.With(secret, sqlqueue.OnQueue("slow")),
		sqlqueue.With(sqlqueue.Named("report", 2), sqlqueue.Catch(sqlqueue.Named("apologize", 3)))),
		sqlqueue.Catch(sqlqueue.Named("alert", 4)))
	if err != nil {
		t.Fatal(err)
	}
	page := s.get(fmt.Sprintf("/jobs/%d", id))
	s.has(page, "h-chain", "When it is done:", "check", `href="../queue?name=slow"`, "report", "apologize", "alert")
	s.hasNot(page, "s3cret")
	s.push("mail", "alone", "1")
	s.hasNot(s.get(fmt.Sprintf("/jobs/%d", id+1)), "h-chain")

	payload, err := json.Marshal(map[string]any{"job": "after", "data": 1, "parent": map[string]any{"id": 7, "error": "password=hunter2"}})
	if err != nil {
		t.Fatal(err)
	}
	s.exec("INSERT INTO jobs (queue, payload) VALUES ('mail', ?)", string(payload))
	page = s.get(fmt.Sprintf("/jobs/%d", id+2))
	s.has(page, "Pushed after job", `href="../jobs?q=id:7"`, "••••")
	s.hasNot(page, "hunter2")
}
