package dashboard_test

import (
	"log"
	"net/http"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// The page is mounted below a path of the application, behind its own login.
func Example() {
	mount := func(mux *http.ServeMux, q *sqlqueue.Queue, login func(http.Handler) http.Handler) {
		page, err := dashboard.New(q, dashboard.Config{Name: "shop, production", Colour: "red"})
		if err != nil {
			log.Fatal(err)
		}
		mux.Handle("/queues/", login(http.StripPrefix("/queues", page)))
	}
	_ = mount
}
