// The bench command measures sqlqueue, other queues and bare SQL on the same work, on one server, in one run.
//
//	make bench                                            # PostgreSQL: half an hour
//	make bench-full                                       # every workload on every engine: hours
//	go run . -json postgres.json                          # keeps the measurements
//	go run . -operate -jobs 5000000                       # what operators ask, beside so many jobs and a million failed ones
//	go run . -groups                                      # what limits, turns and batches cost, and what they promise
//	go run . -dashboard -rows 5000000 -rounds 10          # what each page of the dashboard costs beside so many jobs
//	go run . -from postgres.json -chart performance.svg   # makes a chart of them
//
// Every measurement has a database of its own, new and empty, and processes of its own: a producer and one or more workers, each this
// program again, or node for the queues of peers/. They are told what to do over a pipe. So a system does not pay for the garbage of the
// one before, and the CPU time of a client is the process's own. Systems take turns within a round, and begin with another in the next.
//
// A file for each system, which system.go lists with their settings. workload.go has what is measured, meter.go how, report.go what is
// printed, with a table of all in summary.go, chart.go what is drawn. operate.go, groups.go with its scene.go, and dashboard.go are by
// themselves.
package main
