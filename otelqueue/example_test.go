package otelqueue_test

import (
	"log"

	"github.com/sqlqueue/sqlqueue/otelqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// The global providers have the spans and the metrics.
func Example() {
	tracing, err := otelqueue.New(otelqueue.Config{})
	if err != nil {
		log.Fatal(err)
	}
	config := sqlqueue.Config{OnPush: tracing.OnPush}
	mux := worker.NewMux()
	mux.Use(tracing.Middleware) // the outermost: before others
	_ = config
}
