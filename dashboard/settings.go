package dashboard

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

type settingsData struct {
	Who, Role, Rights                      string
	Refresh, CountsKept, ErrorsKept, Queue string
	OperationsKept, Hidden                 string
}

// settingsPage shows the dashboard's settings, and the visitor's rights.
func (v *visit) settingsPage() error {
	d := settingsData{
		Who: v.who(), Role: say("role." + v.user.Role.String()), Refresh: exactly(v.config.Refresh), Queue: v.queue.Config().Queue,
		CountsKept: roughly(operator.CountsKept), ErrorsKept: roughly(operator.ErrorsKept), OperationsKept: roughly(operator.OperationsKept),
		Hidden: strings.Join(slices.Sorted(slices.Values(secrets)), ", "),
	}
	var rights []string
	for right := view; right <= subscribe; right++ {
		if v.may(right) {
			rights = append(rights, say("right."+right.String()))
		}
	}
	d.Rights = strings.Join(rights, ", ")
	return v.render(http.StatusOK, "settings", &page{Title: say("settings"), Here: "settings", D: d})
}
