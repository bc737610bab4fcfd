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
		Who: v.who(), Role: v.say("role." + v.user.Role.String()),
		Refresh: v.units(exactly(v.config.Refresh)), Queue: v.queue.Config().Queue,
		CountsKept: v.roughly(operator.CountsKept),
		ErrorsKept: v.roughly(operator.ErrorsKept), OperationsKept: v.roughly(operator.OperationsKept),
		Hidden: strings.Join(slices.Sorted(slices.Values(secrets)), ", "),
	}
	var rights []string
	for right := view; right <= subscribe; right++ {
		if v.may(right) {
			rights = append(rights, v.say("right."+right.String()))
		}
	}
	d.Rights = strings.Join(rights, ", ")
	return v.render(http.StatusOK, "settings", &page{Title: v.say("settings"), Here: "settings", D: d})
}
