package dashboard_test

import (
	"fmt"
	"net/url"
	"regexp"
	"testing"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// TestUndo: a cancelled job, or all of a bulk change, come back by the button that appears after it, and by the list of changes.
func TestUndo(t *testing.T) {
	s := open(t, dashboard.Config{})
	count := func(want int) {
		t.Helper()
		if n, err := s.o.CountJobs(t.Context(), operator.JobFilter{}, 100); err != nil || n != want {
			t.Errorf("%d jobs, %v, want %d", n, err, want)
		}
	}
	id := s.push("mail", "a", "{}")
	s.push("mail", "a", "{}")
	to := s.post(303, fmt.Sprintf("/jobs/%d/cancel", id), nil).Header().Get("Location")
	count(1)
	page := s.get("/jobs?" + regexp.MustCompile(`\?(.*)`).FindStringSubmatch(to)[1])
	s.has(page, "The job is cancelled.", ">Undo</button>")
	undo := regexp.MustCompile(`bulk/restore\?q=([A-Z2-7]{26})"><input type="hidden" name="cut" value="(\d+)"`).FindStringSubmatch(page)
	form := url.Values{"cut": {undo[2]}, "cursor": {"0"}}
	s.has(s.get("/activity"), "bulk/restore?q="+undo[1])
	s.has(s.get("/bulk/restore?q="+undo[1]), "<b>1</b>", "Restore them")
	s.has(s.post(200, "/bulk/restore?q="+undo[1], form).Body.String(), "1 done", "Finished.")
	count(2)
	s.has(s.get("/bulk/restore?q="+undo[1]), "Nothing matches now.")
	s.post(400, "/bulk/restore?q=../x", form)

	preview := s.get("/bulk/cancel?q=queue:mail")
	field := func(name string) string {
		return regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(preview)[1]
	}
	form = url.Values{"cut": {field("cut")}, "cursor": {"0"}, "confirm": {"cancel"}, "undo": {field("undo")}}
	s.has(s.post(200, "/steps/cancel?q=queue:mail", form).Body.String(), `"done":2`)
	count(0)
	s.has(s.post(200, "/steps/restore?q="+field("undo"), form).Body.String(), `"done":2,"left":0`)
	count(2)
	form.Set("undo", "<b>")
	s.post(400, "/steps/cancel?q=queue:mail", form)

	viewer := open(t, dashboard.Config{ReadOnly: true})
	viewer.hasNot(viewer.get("/jobs?said=cancelled&undo="+undo[1]), "bulk/restore")
}
