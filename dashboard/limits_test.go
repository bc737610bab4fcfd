package dashboard_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func TestLimits(t *testing.T) {
	s := open(t, dashboard.Config{})
	for _, queue := range []string{"mail", "mail/1", "mail/1", "mail/2", "mails"} {
		s.push(queue, "send", "{}")
	}
	page := s.get("/queue?name=mail")
	s.has(page, "Queues below", `href="queue?name=mail%2f1"`, `href="queue?name=mail%2f2"`)
	s.hasNot(page, "queue?name=mails", "Allows")
	s.hasNot(s.get("/queue?name=mails"), "Queues below")

	for field, wrong := range map[string][2]string{
		"running": {"0", "is not a number from 1"}, "rate": {"10", "is not a rate"}, "burst": {"5", "without a rate"},
	} {
		form := url.Values{"running": {"7"}}
		form.Set(field, wrong[0])
		s.has(s.post(422, "/queue/limit?name=mail", form).Body.String(), wrong[1], `value="`+wrong[0]+`"`)
	}
	s.has(s.post(422, "/queue/limit?name=mail", nil).Body.String(), "Enter how many jobs may run")

	s.post(303, "/queue/limit?name=mail", url.Values{"of": {"each"}, "running": {"1"}})
	s.post(303, "/queue/limit?name=mail", url.Values{"rate": {"2/1h"}, "burst": {"1"}})
	limits, err := s.o.Limits(t.Context())
	if err != nil || len(limits) != 2 || limits[0] != (operator.Limit{Queue: "mail", Rate: 2, Per: time.Hour, Burst: 1}) ||
		limits[1].Queue != "mail/*" || limits[1].Running != 1 {
		t.Fatalf("%+v, %v", limits, err)
	}
	answer, err := s.q.Exchange(t.Context(), driver.Exchange{
		Number: "0123456789abcdef-1", Limit: 1, Reserve: []driver.Reserve{{Queue: "mail/1", Expire: time.Minute}},
	})
	if err != nil || len(answer.Reserved) != 1 {
		t.Fatalf("%+v, %v", answer, err)
	}
	page = s.get("/queue?name=mail")
	_, row, _ := strings.Cut(page, `<tr id="g-mail/1">`)
	row, _, _ = strings.Cut(row, "</tr>")
	s.has(row, `class="num warn"`, "1 of 1", "in 29m")
	s.has(page, "2 in 1h, 1 at once", "The next can start in 29m", "each queue separately", "all queues together")
	s.has(s.get("/queue?name=mail/1"), "1 of 1 running.", "mail/*")
	s.push("tenants/1", "sync", "{}")
	s.hasNot(s.get("/queue?name=tenants"), "This queue has no jobs")
	s.has(s.get("/api/v1/limits"), `{"queue":"mail","rate":2,"per_seconds":3600,"burst":1}`, `{"queue":"mail/*","running":1}`)

	w := s.post(303, "/queue/pause?name=mail/2&back=mail", nil)
	if got := w.Header().Get("Location"); got != "../queue?name=mail&said=paused" {
		t.Errorf("goes to %s", got)
	}
	s.post(303, "/queue/unlimit?name=mail&limit="+url.QueryEscape("mail/*"), nil)
	s.post(303, "/queue/unlimit?name=mail&limit=mail", nil)
	s.hasNot(s.get("/queue?name=mail"), "Allows")
}
